"""The leaderboard for the terminal, for Markdown, LaTeX, CSV and notebooks."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from html import escape

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from audiomatch.decimals import decimal, interval
from audiomatch.errors import printable
from audiomatch.records import Leaderboard, Row
from audiomatch.scoring.summary import summary, without_weights

_FIRST = ("#", "matcher", "log loss", "95 % interval", "skill", "AUROC")
_LAST = ("tier", "folds", "seconds")
HEADERS = (*_FIRST, *_LAST)
ALL_HEADERS = (
    *_FIRST,
    "Brier",
    "calibration error",
    "by chance",
    "slope",
    "recall at 95 % precision",
    *_LAST,
)
SIDE_BY_SIDE = "folds ran side by side: seconds do not compare with those of one after another"
WARM = "some features were in the cache: their seconds are counted, as they were when computed"
# What a narrow terminal does without, the first first.
_DROPPED = ("seconds", "folds", "skill", "AUROC", "tier", "95 % interval")
_NAME = 14  # columns that a matcher's name has at least
_EMPTY = ("failed", "skipped")  # without a finished fold
_MARKS = {"undecided": "~", "equivalent": "="}


class LeaderboardTable:
    """The leaderboard as rich shows it, in whatever width there is.

    Rows that had to do without pretrained weights (`without_weights`) are left out, and named below
    with how to have them. Columns for which there is no place are left out, the least wanted first,
    and named below: a number loses no digit. Floors are marked and dim, rows without a finished
    fold red with the first line of the error. `~` marks a matcher that is not told apart from the
    best, `=` one that is equivalent to it. `seconds` are those of fitting and predicting, summed
    over folds, those of features that the cache had (`w`) included.
    """

    def __init__(self, leaderboard: Leaderboard, title: str | None = None) -> None:
        self._board, self._title = leaderboard, title
        self._rows = _shown(leaderboard)
        self._cells = [
            {name: printable(cell) for name, cell in _marked(rank, row).items()}
            for rank, row in self._rows
        ]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Give the table that fits."""
        yield self._table(self._fitting(options.max_width))

    def _fitting(self, width: int) -> list[str]:
        names = list(HEADERS)
        for name in _DROPPED:
            if sum(self._least(one) + 1 for one in names) - 1 <= width:
                break
            names.remove(name)
        return names

    def _least(self, name: str) -> int:
        """Return the least width of a column; names of matchers may be folded."""
        width = max(len(one[name]) for one in [{name: name}, *self._cells])
        return min(width, _NAME) if name == "matcher" else width

    def _table(self, names: Sequence[str]) -> Table:
        table = Table(title=self._title, box=box.SIMPLE_HEAD, padding=0, pad_edge=False)
        for name in names:
            text = name == "matcher"
            table.add_column(
                name, justify="left" if text else "right", no_wrap=not text, overflow="fold"
            )
        for (rank, row), cells in zip(self._rows, self._cells, strict=True):
            style = "dim" if row.kind == "floor" else "bold" if rank == 1 else ""
            style = "red" if row.status in _EMPTY else style
            table.add_row(*(Text(cells[name]) for name in names), style=style)
        hidden = [name for name in HEADERS if name not in names]
        said = [*summary(self._board, failures=False), *notes(self._board)]
        said += [f"no place for: {', '.join(hidden)}"] if hidden else []
        said += _not_shown(self._board)
        below = [Text(printable(line)) for line in said]
        below += [Text(printable(line), "red") for line in _failures(self._board)]
        table.caption = Text("\n").join(below) if below else None
        table.caption_justify = "left"
        return table


def leaderboard_table(leaderboard: Leaderboard, title: str | None = None) -> LeaderboardTable:
    """Return the leaderboard for a terminal; see `LeaderboardTable`."""
    return LeaderboardTable(leaderboard, title)


def _shown(leaderboard: Leaderboard) -> list[tuple[int, Row]]:
    """Return the rows to show, each with its rank among all."""
    left_out = without_weights(leaderboard)
    return [(i, row) for i, row in enumerate(leaderboard.rows, start=1) if row not in left_out]


def _not_shown(leaderboard: Leaderboard) -> list[str]:
    """Say which rows are not shown, and how to have their weights."""
    rows = without_weights(leaderboard)
    if not rows:
        return []
    named = ", ".join(row.matcher for row in rows)
    lines = [
        f"not shown, for want of pretrained weights: {named} "
        "(all rows: audiomatch leaderboard RUN --format md)"
    ]
    return lines + [f"{row.matcher}: {row.warnings[0]}" for row in rows if row.warnings]


def _marked(rank: int, row: Row) -> dict[str, str]:
    cells = _cells(rank, row)
    if row.kind == "floor":
        cells["matcher"] += " (floor)"
    return cells


def markdown_table(leaderboard: Leaderboard) -> str:
    """Return the leaderboard with all columns as a Markdown table, ending in a newline."""
    lines = ["| " + " | ".join(ALL_HEADERS) + " |"]
    lines.append("|" + "|".join(":--" if h == "matcher" else "--:" for h in ALL_HEADERS) + "|")
    for cells in _all_cells(leaderboard):
        lines += ["| " + " | ".join(map(_plain, cells)) + " |"]
    return "\n".join(lines) + "\n"


def _plain(cell: str) -> str:
    """Return a cell in which Markdown finds no markup and no end of the row."""
    return re.sub(r"[\\|<>\[\]`]", r"\\\g<0>", " ".join(printable(cell).split()))


def latex_table(leaderboard: Leaderboard) -> str:
    """Return the leaderboard with all columns as a LaTeX tabular (booktabs)."""
    rows = [ALL_HEADERS, *_all_cells(leaderboard)]
    head, *body = [" & ".join(map(_latex, cells)) + r" \\" for cells in rows]
    columns = "".join("l" if name == "matcher" else "r" for name in ALL_HEADERS)
    lines = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", head, r"\midrule", *body]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def csv_table(leaderboard: Leaderboard) -> str:
    """Return every figure of every row as CSV, unrounded."""
    fields = [name for name in Row.model_fields if name not in _NESTED]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["rank", *fields, "vs_best", "vs_best_low", "vs_best_high", "verdict"])
    for rank, row in enumerate(leaderboard.rows, start=1):
        best = row.vs_best
        against = [best.difference, best.low, best.high, best.verdict] if best else [None] * 4
        writer.writerow([rank, *(getattr(row, name) for name in fields), *against])
    return stream.getvalue()


_NESTED = (
    "errors",
    "warnings",
    "by_fold",
    "by_task",
    "by_grade",
    "operating",
    "calibrated",
    "vs_best",
)


def html_table(leaderboard: Leaderboard) -> str:
    """Return the leaderboard as HTML, as `leaderboard_table` shows it; for notebooks."""
    head = "".join(f"<th>{escape(name)}</th>" for name in HEADERS)
    body = []
    for rank, row in _shown(leaderboard):
        style = "opacity: .6" if row.kind == "floor" else "font-weight: bold" if rank == 1 else ""
        known = _marked(rank, row)
        cells = "".join(f"<td>{escape(known[name])}</td>" for name in HEADERS)
        body.append(f'<tr style="{style}">{cells}</tr>')
    said = summary(leaderboard, failures=False)
    below = [*said, *notes(leaderboard), *_not_shown(leaderboard), *_failures(leaderboard)]
    lines = "".join(f"<div>{escape(line)}</div>" for line in below)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>{lines}"


def first_error(row: Row) -> str:
    """Return the first line of a row's first error, with its fold where it failed in one."""
    if not row.errors:
        return "not every fold was run"
    first = row.errors[0]
    what = "skipped" if row.status == "skipped" else f"fold {first.fold + 1} failed"
    return f"{what}: {first.error.strip().splitlines()[0]}"


def notes(leaderboard: Leaderboard) -> list[str]:
    """Return what is to be known of the table below it."""
    scored = [row for row in leaderboard.rows if row.n]
    if not scored:
        return []
    if leaderboard.problem:
        lines = [f"no intervals and no verdicts: {leaderboard.problem}"]
    else:
        lines = [*_marks(scored, leaderboard.matters), f"of {leaderboard.question}"]
    if leaderboard.detectable is not None:
        lines.append(
            f"a difference of {leaderboard.detectable:.2g} between matchers is found in 80 % of "
            "such runs"
        )
    if any(row.side_by_side for row in scored):
        lines.append(f"* {SIDE_BY_SIDE}")
    if any(row.warm for row in scored):
        lines.append(f"w {WARM}")
    return lines


def _marks(rows: Sequence[Row], matters: float) -> list[str]:
    found = {row.verdict for row in rows}
    lines = ["tier: rows that share a letter are not told apart"] if len(rows) > 1 else []
    if "undecided" in found:
        lines.append("~ not told apart from the first")
    if "equivalent" in found:
        lines.append(f"= equivalent to the first: within {matters:g} nats of it")
    return lines


def _failures(leaderboard: Leaderboard) -> list[str]:
    return [f"{row.label}: {first_error(row)}" for row in leaderboard.rows if row.status != "done"]


def _all_cells(leaderboard: Leaderboard) -> list[list[str]]:
    found = []
    for rank, row in enumerate(leaderboard.rows, start=1):
        cells = _marked(rank, row)
        if row.status in _EMPTY:
            empty = {"matcher": f"{row.label}: {first_error(row)}", "folds": cells["folds"]}
            cells = dict.fromkeys(ALL_HEADERS, "") | empty
        found.append([cells[name] for name in ALL_HEADERS])
    return found


def _cells(rank: int, row: Row) -> dict[str, str]:
    """Return the cells of a row by their headers."""
    total = row.seconds
    values = (
        f"{_MARKS.get(row.verdict or '', '')}{rank}",
        row.label,
        decimal(row.log_loss, 3),
        interval(row.log_loss_low, row.log_loss_high),
        decimal(row.skill, 2),
        decimal(row.auroc, 3),
        decimal(row.brier, 3),
        decimal(row.calibration_error, 3),
        decimal(row.calibration_error_chance, 3),
        # The slope of a base rate is that of its folds.
        "-" if row.learned_nothing == row.folds_done else decimal(row.calibration_slope, 2),
        decimal(row.recall_at_precision, 2),
        row.tier or "-",
        _folds(row),
        decimal(total, 1 if total is not None and total < 100 else 0) + _timing(row),
    )
    return dict(zip(ALL_HEADERS, values, strict=True))


def _timing(row: Row) -> str:
    return "w" * row.warm + "*" * row.side_by_side


def _folds(row: Row) -> str:
    return f"{row.folds_done}/{len(row.by_fold)}" + ("r" if row.replayed_folds else "")


def _latex(cell: str) -> str:
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return "".join(special.get(c, f"\\{c}" if c in "&%$#_{}" else c) for c in cell)
