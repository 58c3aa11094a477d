"""What the charts share: the page's colours, their axes and their data."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from audiomatch.records import Row

Spec = dict[str, Any]
Values = Sequence[Mapping[str, Any]]

COLOURS = 8  # in the style sheet: --c0 to --c7
CONFIG: Spec = {
    "background": "transparent",
    "font": "system-ui, sans-serif",
    "view": {"stroke": "var(--line)"},
    "axis": {
        "gridColor": "var(--line)",
        "domainColor": "var(--line)",
        "tickColor": "var(--line)",
        "labelColor": "var(--soft)",
        "titleColor": "var(--soft)",
        "titleFontWeight": "normal",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "labelLimit": 150,
    },
    "text": {"color": "var(--text)", "fontSize": 12},
    "legend": {
        "labelColor": "var(--soft)",
        "symbolFillColor": "var(--soft)",
        "symbolStrokeColor": "var(--soft)",
        "labelFontSize": 12,
        "orient": "bottom",
    },
}


def colours(rows: Sequence[Row]) -> dict[str, str]:
    """Return the colour of each matcher, by label; floors are grey."""
    matchers = [row.label for row in rows if row.kind == "matcher"]
    found = {label: f"var(--c{i % COLOURS})" for i, label in enumerate(matchers)}
    return {row.label: found.get(row.label, "var(--floor)") for row in rows}


@contextmanager
def unchecked() -> Iterator[None]:
    """Let Altair not check each part against the schema of Vega-Lite: that takes most of a second.

    The tests draw every chart.
    """
    from altair.utils.schemapi import debug_mode

    with debug_mode(arg=False):
        yield


class Canvas:
    """One chart with the data of its layers, which stand beside it under names."""

    def __init__(self) -> None:
        self._data: dict[str, list[dict[str, Any]]] = {}

    def layer(self, values: Values) -> Any:
        """Return a chart of `values`, floats with the six digits that can be seen."""
        import altair as alt

        name = f"data-{len(self._data)}"
        self._data[name] = [_short(value) for value in values]
        return alt.Chart(alt.NamedData(name))

    def spec(self, chart: Any, height: int) -> Spec:
        """Return the specification of the whole, as wide as its place in the page."""
        sized = chart.properties(width="container", height=height)
        return {**sized.to_dict(validate=False), "datasets": self._data}


def _short(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return it with floats of six digits, which are all that can be seen, and without None."""
    return {
        key: float(f"{one:.6g}") if isinstance(one, float) else one
        for key, one in value.items()
        if one is not None
    }


def loss_domain(values: Values) -> list[float]:
    """Return where an axis of losses begins and ends.

    It ends no further than three times their median, or 1, and begins at 0, a perfect matcher's,
    unless all that is shown lies in the upper two thirds: points need no 0 as bars do.
    """
    losses = sorted(float(value["loss"]) for value in values)
    ends = [_end(value, "high") for value in values]
    most = min(max(ends), max(1.0, 3 * losses[len(losses) // 2]))
    step = 10.0 ** math.floor(math.log10(max(most, 1e-6)))
    end = math.ceil(most / step * 5 - 1e-9) * step / 5
    least = min(_end(value, "low") for value in values)
    start = round((math.floor(least / step * 5 + 1e-9) - 1) * step / 5, 12)
    return [start if start > end / 3 else 0.0, end]


def _end(value: Mapping[str, Any], name: str) -> float:
    """Return an end of a loss's interval, or the loss where it has none."""
    found = value.get(name)
    return float(value["loss"] if found is None else found)


def loss_axis(values: Values) -> Any:
    """Return a horizontal axis of losses."""
    import altair as alt

    scale = alt.Scale(domain=loss_domain(values), clamp=True, nice=False)
    axis = alt.Axis(tickCount=6, labelOverlap=True)
    return alt.X("loss:Q", title="log loss, nats", scale=scale, axis=axis)


def colour_by(palette: Mapping[str, str]) -> Any:
    """Return the colour of each label; the page has its legend."""
    import altair as alt

    scale = alt.Scale(domain=list(palette), range=list(palette.values()))
    return alt.Color("label:N", scale=scale, legend=None)


def tips(values: Values, **names: str) -> list[Any]:
    """Return what is told of a mark: fields of `values` that are there, by their titles."""
    import altair as alt

    sample = {key: one for value in values for key, one in value.items() if one is not None}
    return [
        alt.Tooltip(f"{name}:Q", title=title or name, format=".3~f")
        if isinstance(sample[name], float | int)
        else alt.Tooltip(f"{name}:N", title=title or name)
        for name, title in names.items()
        if name in sample
    ]
