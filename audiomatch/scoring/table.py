"""The leaderboard for the terminal and for Markdown."""

from __future__ import annotations

from html import escape

from rich import box
from rich.table import Table
from rich.text import Text

from audiomatch.errors import printable
from audiomatch.records import Leaderboard, Row

HEADERS = ("#", "matcher", "log loss", "95 % interval", "AUROC", "Brier", "ECE", "folds", "seconds")

SIDE_BY_SIDE = "folds ran side by side: seconds do not compare with those of one after another"
_EMPTY = ("failed", "skipped")  # without a finished fold


def leaderboard_table(leaderboard: Leaderboard, title: str | None = None) -> Table:
    """Return the leaderboard as a table of rich that fits 100 columns.

    Floors are dim, rows without a finished fold red with the first line of the error, and `=`
    marks a matcher that ties with the best. `seconds` are those of fitting and predicting, summed
    over folds; `*` marks those of folds that ran beside others.
    """
    table = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.caption_justify = "left"
    for name in (*HEADERS, "MB"):
        text = name == "matcher"
        table.add_column(
            name, justify="left" if text else "right", no_wrap=not text, overflow="fold"
        )
    for rank, row in enumerate(leaderboard.rows, start=1):
        cells = [*_cells(rank, row), _number(row.peak_memory_mb, 0)]
        style = "dim" if row.kind == "floor" else "bold" if rank == 1 else ""
        style = "red" if row.status in _EMPTY else style
        table.add_row(*(Text(printable(cell)) for cell in cells), style=style)
    below = [
        *map(Text, _notes(leaderboard)),
        *(Text(line, "red") for line in _failures(leaderboard)),
    ]
    table.caption = Text("\n").join(below) if below else None
    return table


def markdown_table(leaderboard: Leaderboard) -> str:
    """Return the leaderboard as a Markdown table, ending in a newline."""
    lines = ["| " + " | ".join(HEADERS) + " |", "|" + "|".join(["--:", ":--", *["--:"] * 7]) + "|"]
    for rank, row in enumerate(leaderboard.rows, start=1):
        if row.status in _EMPTY:
            cells = ["", f"{row.label}: {first_error(row)}", *[""] * 5, _folds(row), ""]
        else:
            cells = _cells(rank, row)
            cells[1] += " (floor)" if row.kind == "floor" else ""
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def html_table(leaderboard: Leaderboard) -> str:
    """Return the leaderboard as HTML, as `leaderboard_table` shows it; for notebooks."""
    head = "".join(f"<th>{escape(name)}</th>" for name in HEADERS)
    body = []
    for rank, row in enumerate(leaderboard.rows, start=1):
        style = "opacity: .6" if row.kind == "floor" else "font-weight: bold" if rank == 1 else ""
        cells = "".join(f"<td>{escape(cell)}</td>" for cell in _cells(rank, row))
        body.append(f'<tr style="{style}">{cells}</tr>')
    below = [*_notes(leaderboard), *_failures(leaderboard)]
    notes = "".join(f"<div>{escape(line)}</div>" for line in below)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>{notes}"


def first_error(row: Row) -> str:
    """Return the first line of a row's first error, with its fold where it failed in one."""
    if not row.errors:
        return "not every fold was run"
    first = row.errors[0]
    what = "skipped" if row.status == "skipped" else f"fold {first.fold + 1} failed"
    return f"{what}: {first.error.strip().splitlines()[0]}"


def _notes(leaderboard: Leaderboard) -> list[str]:
    """Return what the marks of a table mean, of those that it has."""
    ties = any(row.ties for row in leaderboard.rows)
    beside = any(row.side_by_side for row in leaderboard.rows)
    return [
        *["= ties with the best: the interval of their difference holds zero"] * ties,
        *[f"* {SIDE_BY_SIDE}"] * beside,
    ]


def _failures(leaderboard: Leaderboard) -> list[str]:
    return [f"{row.label}: {first_error(row)}" for row in leaderboard.rows if row.status != "done"]


def _cells(rank: int, row: Row) -> list[str]:
    total = row.seconds
    interval = (
        f"{row.log_loss_low:.3f} to {row.log_loss_high:.3f}"
        if row.log_loss_low is not None
        else "-"
    )
    return [
        f"{'=' if row.ties else ''}{rank}",
        row.label,
        _number(row.log_loss, 3),
        interval,
        _number(row.auroc, 3),
        _number(row.brier, 3),
        _number(row.calibration_error, 3),
        _folds(row),
        _number(total, 1 if total is not None and total < 100 else 0) + "*" * row.side_by_side,
    ]


def _folds(row: Row) -> str:
    done, every = row.folds_done, len(row.by_fold)
    replayed = row.replayed_folds
    return f"{done}/{every}" + (" replayed" if replayed == done > 0 else "r" if replayed else "")


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
