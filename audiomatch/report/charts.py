"""The charts of the report as specifications of Vega-Lite, made by Altair.

Colours are variables of the page's style sheet, so that charts follow it into the dark.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from audiomatch.records import Row
from audiomatch.report.curves import Ratio, frontier
from audiomatch.report.drawing import Canvas, Spec, Values, colour_by, loss_axis, loss_domain, tips

Palette = Mapping[str, str]
_LEAST_SECONDS = 0.01  # of an axis of logarithms


def losses(rows: Sequence[Row], palette: Palette) -> Spec:
    """Return log loss with interval of each scored row.

    A matcher far beyond the others is cut off rather than allowed to squeeze them together.
    """
    import altair as alt

    values = _losses(rows)
    x, y = loss_axis(values), alt.Y("label:N", sort=None, title=None)
    color = colour_by(palette)
    tip = tips(values, label="", loss="log loss", low="from", high="to", tier="tier")
    canvas = Canvas()
    base = canvas.layer(values)
    points = base.mark_point(filled=True, size=80, opacity=1)
    layers = [points.encode(x=x, y=y, color=color, tooltip=tip)]
    if any("low" in value for value in values):
        lines = base.transform_calculate(loss="datum.low").mark_rule(strokeWidth=2, clip=True)
        layers.insert(0, lines.encode(x=x, x2="high:Q", y=y, color=color))
    return canvas.spec(alt.layer(*layers), height=26 * len(values))


def cost(rows: Sequence[Row], palette: Palette) -> Spec:
    """Return log loss against seconds, with the front of those that none beats in both."""
    import altair as alt

    values = [value for value in _losses(rows) if "seconds" in value]
    for value in values:
        value["seconds"] = max(value["seconds"], _LEAST_SECONDS)
    kept = frontier([v["seconds"] for v in values], [v["loss"] for v in values])
    front = [values[i] for i in kept]
    axis = alt.Axis(tickCount=5, format="~g", labelOverlap=True)
    scale = alt.Scale(type="log", nice=False, padding=56)
    x = alt.X("seconds:Q", title="seconds of fitting and predicting", scale=scale, axis=axis)
    scale = alt.Scale(domain=loss_domain(values), clamp=True)
    y = alt.Y("loss:Q", title="log loss, nats", scale=scale, axis=alt.Axis(tickCount=6))
    tip = tips(values, label="", loss="log loss", seconds="seconds")
    canvas = Canvas()
    line = canvas.layer(front).mark_line(
        interpolate="step-after", color="var(--soft)", strokeDash=[4, 4], strokeWidth=1.5
    )
    points = canvas.layer(values).mark_point(filled=True, size=90, opacity=1)
    names = canvas.layer(front).mark_text(dy=-11, limit=140)
    return canvas.spec(
        alt.layer(
            line.encode(x=x, y=y),
            points.encode(x=x, y=y, color=colour_by(palette), tooltip=tip),
            names.encode(x=x, y=y, text="label:N"),
        ),
        height=280,
    )


def curve(
    curves: Mapping[str, Sequence[Ratio]],
    points: Mapping[str, Mapping[str, Ratio]],
    palette: Palette,
    axes: tuple[str, str],
) -> Spec:
    """Return a line a matcher over two of a threshold's ratios, with the points of note."""
    import altair as alt

    names = [axis.replace("_", " ") for axis in axes]
    lines = [v for label, ratios in curves.items() for v in _places(label, ratios, axes)]
    marks = [
        {**place, "point": name}
        for label, found in points.items()
        for name, ratio in found.items()
        for place in _places(label, [ratio], axes)
    ]
    x, y = _share("x", names[0]), _share("y", names[1])
    color = colour_by(palette)
    tip = tips(marks, label="", point="at", threshold="threshold", x=names[0], y=names[1])
    canvas = Canvas()
    drawn = canvas.layer(lines).mark_line(strokeWidth=2)
    noted = canvas.layer(marks).mark_point(filled=True, size=90, opacity=1)
    shape = alt.Shape("point:N", title=None)
    return canvas.spec(
        alt.layer(
            drawn.encode(x=x, y=y, color=color, order=alt.Order("i:Q")),
            noted.encode(x=x, y=y, color=color, shape=shape, tooltip=tip),
        ),
        height=300,
    )


def reliability(bins: Values, colour: str) -> Spec:
    """Return the share of matches against P(match), with bands; see `curves.reliability`."""
    import altair as alt

    x, y = _share("p", "P(match)"), _share("share", "share of matches")
    canvas = Canvas()
    ideal = canvas.layer([{"p": 0, "share": 0}, {"p": 1, "share": 1}])
    layers = [ideal.mark_line(color="var(--soft)", strokeDash=[4, 4]).encode(x=x, y=y)]
    if "low" in bins[0]:
        # In a bin alone a band has no width: a rule shows it there too.
        low = _share("low", "share of matches")
        bands = canvas.layer(bins)
        area = bands.mark_area(color=colour, opacity=0.15).encode(x=x, y=low, y2="high:Q")
        rules = bands.mark_rule(color=colour, opacity=0.5).encode(x=x, y=low, y2="high:Q")
        layers += [area, rules]
    layers.append(canvas.layer(bins).mark_line(color=colour, strokeWidth=1.5).encode(x=x, y=y))
    size = alt.Size("n:Q", legend=None, scale=alt.Scale(range=[12, 160]))
    points = canvas.layer(bins).mark_point(filled=True, color=colour, opacity=1)
    tip = tips(bins, n="clips", p="P(match)", share="share of matches", low="from", high="to")
    layers.append(points.encode(x=x, y=y, size=size, tooltip=tip))
    return canvas.spec(alt.layer(*layers), height=220)


def histogram(bars: Values) -> Spec:
    """Return how the probabilities lie: matches as bars upwards, mismatches downwards."""
    import altair as alt

    x = _share("from", "P(match)")
    axis = alt.Axis(labelExpr="abs(datum.value)", tickCount=5)
    y = alt.Y("height:Q", title="clips", axis=axis)
    tip = tips(bars, kind="", n="clips")
    canvas = Canvas()
    drawn = canvas.layer([{**bar, "zero": 0} for bar in bars]).mark_bar(binSpacing=0)
    return canvas.spec(
        drawn.encode(x=x, x2="to:Q", y=y, y2="zero:Q", color=_by_label("kind"), tooltip=tip),
        height=220,
    )


def by_kind(values: Values, palette: Palette) -> Spec:
    """Return log loss with interval of each matcher for each kind of clips."""
    import altair as alt

    kinds = list(dict.fromkeys(value["kind"] for value in values))
    labels = list(dict.fromkeys(value["label"] for value in values))
    x, y = loss_axis(values), alt.Y("kind:N", sort=kinds, title=None)
    offset = alt.YOffset("label:N", sort=labels)
    color = colour_by(palette)
    tip = tips(values, label="", kind="", loss="log loss", low="from", high="to", n="clips")
    canvas = Canvas()
    base = canvas.layer(values)
    points = base.mark_point(filled=True, size=50, opacity=1)
    layers = [points.encode(x=x, y=y, yOffset=offset, color=color, tooltip=tip)]
    if any("low" in value for value in values):
        lines = base.transform_calculate(loss="datum.low").mark_rule(strokeWidth=2, clip=True)
        layers.insert(0, lines.encode(x=x, x2="high:Q", y=y, yOffset=offset, color=color))
    return canvas.spec(alt.layer(*layers), height=len(kinds) * (12 * len(labels) + 14))


def learning(points: Values, palette: Palette) -> Spec:
    """Return log loss against the clips learned from, with intervals."""
    import altair as alt

    axis = alt.Axis(tickCount=6, labelOverlap=True)
    x = alt.X("n:Q", title="clips learned from", scale=alt.Scale(type="symlog"), axis=axis)
    scale = alt.Scale(domain=loss_domain(points), clamp=True)
    y = alt.Y("loss:Q", title="log loss, nats", scale=scale)
    low = alt.Y("low:Q", title="log loss, nats", scale=scale)
    color = colour_by(palette)
    tip = tips(points, label="", n="clips", loss="log loss", low="from", high="to")
    canvas = Canvas()
    base = canvas.layer(points)
    layers = [
        base.mark_line(strokeWidth=2).encode(x=x, y=y, color=color),
        base.mark_point(filled=True, size=70, opacity=1).encode(x=x, y=y, color=color, tooltip=tip),
    ]
    if any(value.get("low") is not None for value in points):
        band = base.mark_area(opacity=0.15, clip=True)
        layers.insert(0, band.encode(x=x, y=low, y2="high:Q", color=color))
    return canvas.spec(alt.layer(*layers), height=300)


def pair() -> Spec:
    """Return P(match) of one matcher against another's; the page's script gives the clips."""
    import altair as alt

    scale = alt.Scale(domain=["match", "mismatch"], range=["circle", "triangle-up"])
    fields = {"id": "clip", "a": "first", "b": "second", "label": "label"}
    drawn = alt.Chart(alt.NamedData("pair")).mark_point(size=36, opacity=0.7)
    canvas = Canvas()
    return canvas.spec(
        drawn.encode(
            x=_share("a", "P(match) of the first"),
            y=_share("b", "P(match) of the second"),
            color=_by_label("label"),
            shape=alt.Shape("label:N", scale=scale, legend=None),
            tooltip=[alt.Tooltip(f"{name}:N", title=title) for name, title in fields.items()],
        ),
        height=360,
    )


def _losses(rows: Sequence[Row]) -> list[dict[str, Any]]:
    fields = {
        "label": "label",
        "loss": "log_loss",
        "low": "log_loss_low",
        "high": "log_loss_high",
        "seconds": "seconds",
        "tier": "tier",
    }
    found = [{name: getattr(row, field) for name, field in fields.items()} for row in rows]
    return [
        {name: value for name, value in one.items() if value is not None}
        for one in found
        if one["loss"] is not None
    ]


def _places(label: str, ratios: Sequence[Ratio], axes: tuple[str, str]) -> list[dict[str, Any]]:
    """Return ratios as places in a chart, with four digits."""
    return [
        {
            "label": label,
            "i": i,
            "x": round(getattr(ratio, axes[0]), 4),
            "y": round(getattr(ratio, axes[1]), 4),
            "threshold": round(ratio.threshold, 4),
        }
        for i, ratio in enumerate(ratios)
    ]


def _share(field: str, title: str) -> Any:
    """Return an axis from 0 to 1: horizontal for probabilities, as is the first of a pair."""
    import altair as alt

    kind = alt.Y if field in ("y", "b", "share", "low") else alt.X
    axis = alt.Axis(values=[0, 0.2, 0.4, 0.6, 0.8, 1], format=".1f")
    return kind(f"{field}:Q", title=title, scale=alt.Scale(domain=[0, 1]), axis=axis)


def _by_label(field: str) -> Any:
    """Return the colours of matches and mismatches; the page says which is which."""
    import altair as alt

    scale = alt.Scale(domain=["match", "mismatch"], range=["var(--match)", "var(--mismatch)"])
    return alt.Color(f"{field}:N", scale=scale, legend=None)
