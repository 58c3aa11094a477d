"""The tables beside the leaderboard: of calibration, of more labels, and of recipes."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import ConsoleRenderable
from rich.table import Table
from rich.text import Text

from audiomatch.decimals import decimal, interval
from audiomatch.errors import printable
from audiomatch.probing.table import matrix
from audiomatch.records import ALL, Leaderboard, LearningPoint
from audiomatch.scoring.learning import by_size
from audiomatch.scoring.table import leaderboard_table


def tables(leaderboard: Leaderboard) -> list[ConsoleRenderable]:
    """Return the leaderboard's table, and those that a run has beside it."""
    found: list[ConsoleRenderable] = [leaderboard_table(leaderboard)]
    if any(row.calibrated for row in leaderboard.rows):
        found.append(calibration_table(leaderboard))
    if leaderboard.learning:
        found.append(learning_table(leaderboard))
    if leaderboard.recipe:
        found.append(recipe_table(leaderboard))
    if leaderboard.variance:
        found.append(variance_table(leaderboard))
    if leaderboard.behaviours:
        found.append(matrix(leaderboard.behaviours))
    return found


def calibration_table(leaderboard: Leaderboard) -> Table:
    """Return raw and calibrated log losses side by side, a row a matcher."""
    rows = []
    for row in leaderboard.rows:
        if (one := row.calibrated) is None:
            continue
        ends = interval(one.difference_low, one.difference_high, none="")
        difference = "\n".join(filter(None, (f"{one.difference:+.3f}", ends)))
        how = f"{one.method} by {one.by}" if one.by else one.method
        cells = f"{one.log_loss - one.difference:.3f} → {one.log_loss:.3f}", difference, how
        rows.append([row.label, *cells, f"{one.kept_folds}/{one.folds}"])
    heads = ["matcher", "log loss → calibrated", "difference", "how", "kept in folds"]
    notes = ["kept where it has a lower log loss on inner folds; else left as it was"]
    return _table("calibration", heads, rows, notes)


def learning_table(leaderboard: Leaderboard) -> Table:
    """Return log losses with intervals, a row a matcher and a column a size."""
    points = {(p.matcher, p.train_size): p for p in leaderboard.learning}
    sizes = sorted({size for _, size in points}, key=by_size)
    heads = [_head(size, leaderboard.learning) for size in sizes]
    rows = [
        [row.label, *(_point(points.get((row.matcher, size))) for size in sizes)]
        for row in leaderboard.rows
        if (row.matcher, ALL) in points
    ]
    notes = learning_notes(leaderboard)
    return _table("log loss by clips learned from", ["matcher", *heads], rows, notes)


def learning_notes(leaderboard: Leaderboard) -> list[str]:
    """Return for each matcher what the last clips that it learned from were worth."""
    labels = {row.matcher: row.label for row in leaderboard.rows if row.kind == "matcher"}
    by_matcher: dict[str, list[LearningPoint]] = {}
    for point in leaderboard.learning:
        by_matcher.setdefault(point.matcher, []).append(point)
    lines = []
    for matcher, label in labels.items():
        points: list[LearningPoint | None] = [*by_matcher.get(matcher, ())]
        *_, before, last = [None, None, *points]
        if before and last and last.change is not None:
            ends = interval(last.change_low, last.change_high, none="")
            lines.append(
                f"{label}: from {before.n_train:.0f} to {last.n_train:.0f} clips: "
                f"{last.change:+.3f}{ends and f' ({ends})'}"
            )
    if any(point.train_size == 0 for point in leaderboard.learning):
        lines.append("ready: the fitted model that a plugin carries, which learned elsewhere")
    return lines


def _head(size: int, points: Sequence[LearningPoint]) -> str:
    if size != ALL:
        return f"{size} clips" if size else "ready"
    return f"all ({max(point.n_train for point in points if point.train_size == ALL):.0f})"


def _point(point: LearningPoint | None) -> str:
    if point is None:
        return "-"
    ends = interval(point.low, point.high, none="")
    return "\n".join(filter(None, (decimal(point.log_loss), ends)))


def _table(
    title: str, heads: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str]
) -> Table:
    table = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.title_justify = table.caption_justify = "left"
    for head in heads:
        table.add_column(head, justify="right" if table.columns else "left", overflow="fold")
    for cells in rows:
        table.add_row(*(Text(printable(cell)) for cell in cells))
    table.caption = Text("\n".join(map(printable, notes))) if notes else None
    return table


def recipe_table(leaderboard: Leaderboard) -> Table:
    """Return how each recipe differs from the first, over other folds and training runs."""
    labels = {row.matcher: row.label for row in leaderboard.rows}
    first = leaderboard.recipe[0].a
    rows = [[labels[first], "first", "", ""]]
    for pair in leaderboard.recipe:
        if pair.a == first:
            low, high = (None if end is None else -end for end in (pair.high, pair.low))
            verdict = {"better": "worse", "worse": "better"}.get(pair.verdict or "", pair.verdict)
            cells = f"{-pair.difference:+.3f}", interval(low, high), verdict or "-"
            rows.append([labels[pair.b], *cells])
    parts = leaderboard.recipe[0].parts
    notes = [
        f"of these recipes, trained again on other folds of such clips: {parts} parts held out",
        "corrected resampled t (Nadeau and Bengio, 2003)",
    ]
    heads = ["recipe", "log loss against the first", "95 % interval", "verdict"]
    return _table("recipes", heads, rows, notes)


def variance_table(leaderboard: Leaderboard) -> Table:
    """Return what moves the log loss of each matcher, in nats."""
    found = {(part.matcher, part.source): part.deviation for part in leaderboard.variance}
    sources = list(dict.fromkeys(part.source for part in leaderboard.variance))
    rows = [
        [
            row.label,
            *(decimal(found.get((row.matcher, source))) for source in sources),
        ]
        for row in leaderboard.rows
        if (row.matcher, sources[0]) in found
    ]
    notes = [
        "standard deviations, in nats, of the log loss that one cross-validation gives, by what "
        "else might have been drawn"
    ]
    return _table("what moves a log loss", ["matcher", *sources], rows, notes)
