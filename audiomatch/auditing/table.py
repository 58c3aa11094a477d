"""An audit for the terminal."""

from __future__ import annotations

from rich import box
from rich.table import Table
from rich.text import Text

from audiomatch.auditing.record import AuditRecord, Finding
from audiomatch.errors import printable

_STYLES = {"error": "bold red", "warning": "yellow", "note": "dim"}
_SUSPECTS = 20


def findings_table(found: AuditRecord) -> Table:
    """Return the findings as a table of rich, the worst first."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for name in ("severity", "finding", "what was found", "remedy"):
        table.add_column(name, overflow="fold", no_wrap=name == "severity")
    for one in found.findings:
        named = f"{one.id} ({one.subject})" if one.subject else one.id
        cells = (one.severity, named, one.effect + _rows(one), one.remedy)
        table.add_row(*(Text(printable(cell)) for cell in cells), style=_STYLES[one.severity])
    return table


def suspects_table(found: AuditRecord) -> Table:
    """Return the labels that matchers contradict, the worst first."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for name in ("row", "clip", "expected text", "match", "P(match)"):
        table.add_column(name, overflow="fold")
    for one in found.suspects[:_SUSPECTS]:
        cells = (one.row, one.id, one.expected_text, one.match, f"{one.p_match:.3f}")
        table.add_row(*(Text(printable(str(cell))) for cell in cells))
    return table


def summary(found: AuditRecord) -> str:
    """Return what was looked at in a line."""
    counts = [(len(found.of("error")), "error"), (len(found.of("warning")), "warning")]
    counts.append((len(found.of("note")), "note"))
    told = ", ".join(f"{n} {name}{'s' * (n != 1)}" for n, name in counts)
    heard = "" if found.listened else "; the clips were not listened to"
    return printable(
        f"{found.source}: {told}. {found.clips} clips, {found.matches} matches, "
        f"{found.groups.groups} groups by {found.group} (effective {found.groups.effective:.1f}), "
        f"{len(found.probes)} probes{heard}"
    )


def _rows(one: Finding) -> str:
    if not one.rows:
        return ""
    more = f" and {one.count - len(one.rows)} more" if one.count > len(one.rows) else ""
    return f" (row{'s' * (len(one.rows) > 1)} {', '.join(map(str, one.rows))}{more})"
