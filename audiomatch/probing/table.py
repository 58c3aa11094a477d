"""Behaviours for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from audiomatch.decimals import decimal, interval
from audiomatch.errors import printable
from audiomatch.records import Behaviour

SECTIONS = {"stay": "must stay", "fall": "must fall", "report": "shown alone"}


def behaviours_table(
    found: Sequence[Behaviour],
    summaries: Mapping[str, str],
    stay: float | None = None,
    fall: float | None = None,
) -> Table:
    """Return behaviours of one matcher as a table of rich that fits 80 columns.

    `summaries` say of each probe what is planted. What breaks a limit is red, and has a mark.
    """
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("", overflow="fold")
    for name in ("confirmed", "95 % interval", "n", "log loss"):
        table.add_column(name, justify="right", no_wrap=True)
    for expectation, title in SECTIONS.items():
        own = [one for one in found if one.expectation == expectation]
        if own:
            table.add_row(Text(title, "bold"))
        for one in own:
            broken = one.breaks(stay, fall)
            named = f"{one.probe}: {summaries[one.probe]}" if one.probe in summaries else one.probe
            cells = (f"  {named}", _share(one, "!" * broken), *_rest(one))
            table.add_row(*(Text(printable(c)) for c in cells), style="red" if broken else "")
    return table


def matrix(found: Sequence[Behaviour]) -> Table:
    """Return the share confirmed of each probe by each matcher."""
    matchers = list(dict.fromkeys(one.matcher for one in found))
    share = {(one.probe, one.matcher): _share(one) for one in found}
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("confirmed", no_wrap=True)
    for name in matchers:
        table.add_column(printable(name), justify="right", overflow="fold")
    for expectation, title in SECTIONS.items():
        own = dict.fromkeys(one.probe for one in found if one.expectation == expectation)
        if own:
            table.add_row(Text(title, "bold"))
        for probe in own:
            cells = (share.get((probe, name), "-") for name in matchers)
            table.add_row(Text(f"  {printable(probe)}"), *cells)
    return table


def _share(one: Behaviour, mark: str = "") -> str:
    return mark * (one.confirmed is not None) + decimal(one.confirmed, 2)


def _rest(one: Behaviour) -> tuple[str, str, str]:
    return interval(one.low, one.high, 2), str(one.n), decimal(one.loss)
