"""The leaderboard for the terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

HEADERS = ("#", "matcher", "log loss", "95 % interval", "AUROC", "Brier", "ECE", "folds", "seconds")


def leaderboard_table(leaderboard: Mapping[str, Any], title: str | None = None) -> Table:
    """Return the leaderboard as a table of rich that fits 100 columns.

    Floors are dim, rows without a finished fold red with the first line of the error, and `=`
    marks a matcher that ties with the best. `seconds` are those of fitting and predicting, summed
    over folds.
    """
    table = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.caption_justify = "left"
    for name in (*HEADERS, "MB"):
        text = name == "matcher"
        table.add_column(
            name, justify="left" if text else "right", no_wrap=not text, overflow="fold"
        )
    ties = False
    below: list[Text] = []
    for rank, row in enumerate(leaderboard["rows"], start=1):
        if row["status"] != "done":
            below.append(Text(f"{row['label']}: {first_error(row)}", "red"))
        tie = bool((row.get("vs_best") or {}).get("tie"))
        ties = ties or tie
        cells = [*_cells(rank, row), _number(row["peak_memory_mb"], 0)]
        style = "dim" if row["kind"] == "floor" else "bold" if rank == 1 else ""
        style = "red" if row["status"] == "failed" else style
        table.add_row(*(Text(cell) for cell in cells), style=style)
    if ties:
        below.insert(0, Text("= ties with the best: the interval of their difference holds zero"))
    table.caption = Text("\n").join(below) if below else None
    return table


def markdown_table(leaderboard: Mapping[str, Any]) -> str:
    """Return the leaderboard as a Markdown table, ending in a newline."""
    lines = ["| " + " | ".join(HEADERS) + " |", "|" + "|".join(["--:", ":--", *["--:"] * 7]) + "|"]
    for rank, row in enumerate(leaderboard["rows"], start=1):
        if row["status"] == "failed":
            cells = ["", f"{row['label']}: {first_error(row)}", *[""] * 5, _folds(row), ""]
        else:
            cells = _cells(rank, row)
            cells[1] += " (floor)" if row["kind"] == "floor" else ""
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def first_error(row: Mapping[str, Any]) -> str:
    """Return the first line of a row's first error, with its fold."""
    if not row["errors"]:
        return "not every fold was run"
    error = row["errors"][0]
    lines = str(error["error"]).strip().splitlines() or ["unknown"]
    return f"fold {error['fold'] + 1} failed: {lines[0]}"


def _cells(rank: int, row: Mapping[str, Any]) -> list[str]:
    tie = bool((row.get("vs_best") or {}).get("tie"))
    seconds = [row["seconds_fit"], row["seconds_predict"]]
    known = [value for value in seconds if value is not None]
    total = sum(known) if known else None
    interval = (
        f"{row['log_loss_low']:.3f} to {row['log_loss_high']:.3f}"
        if row["log_loss_low"] is not None
        else "-"
    )
    return [
        f"{'=' if tie else ''}{rank}",
        row["label"],
        _number(row["log_loss"], 3),
        interval,
        _number(row["auroc"], 3),
        _number(row["brier"], 3),
        _number(row["calibration_error"], 3),
        _folds(row),
        _number(total, 1 if total is not None and total < 100 else 0),
    ]


def _folds(row: Mapping[str, Any]) -> str:
    done, every = row["folds_done"], len(row["by_fold"])
    replayed = row["replayed_folds"]
    return f"{done}/{every}" + (" replayed" if replayed == done > 0 else "r" if replayed else "")


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
