"""What a leaderboard says, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from audiomatch.records import Difference, Leaderboard, Row, deaf_floors


def summary(leaderboard: Leaderboard, *, failures: bool = True) -> list[str]:
    """Return what is known of the matchers, the most important first; empty without scores.

    `failures` says whether those that did not finish are named too.
    """
    scored = [row for row in leaderboard.rows if row.n]
    whole = [row for row in scored if row.kind == "matcher"]
    if not scored:
        return []
    lines = _of_matchers(leaderboard, whole) if whole else ["Only floors were scored."]
    failed = _of_failures(leaderboard.rows) if failures else []
    return [*lines, *_of_training(leaderboard, whole), *_of_floors(scored), *failed]


def without_weights(board: Leaderboard) -> list[Row]:
    """Return the rows that say nothing of what their matchers can do.

    Those that had to start from scratch for want of pretrained weights, and are no better than the
    floors. None where no other matcher has scores, nor one that was named so (`weights=scratch`).
    """
    matchers = [row for row in board.rows if row.kind == "matcher" and row.n]
    found = [
        row
        for row in matchers
        if row.label.endswith("(scratch)") and "scratch" not in row.matcher and not row.beats_floors
    ]
    return found if len(found) < len(matchers) and matchers[0] not in found else []


def _of_matchers(board: Leaderboard, every: Sequence[Row]) -> list[str]:
    weightless = without_weights(board)
    rows = [row for row in every if row not in weightless]
    nothing = [row for row in rows if row.learned_nothing == row.folds_done]
    learned = [row for row in rows if row not in nothing]
    lines = _ranking(board, learned, [*nothing, *weightless]) if learned else []
    if weightless:
        lines.append(
            f"{_list(weightless)} had no pretrained weights here, and {_clips(board)} clips are "
            "too few to start from nothing: what they do with weights is not measured."
        )
    if nothing:
        lines.append(f"{_list(nothing)} learned nothing: hardly more than one base rate.")
    partly = [row for row in learned if row.learned_nothing]
    lines += [
        f"{row.label} gave hardly more than one base rate in {row.learned_nothing} of "
        f"{row.folds_done} folds."
        for row in partly
    ]
    if board.problem and learned:
        return [*lines, f"Which of them is better is not judged: {board.problem}."]
    lost = [row for row in learned if row.beats_floors is False]
    if lost:
        be = "are" if len(lost) > 1 else "is"
        lines.append(f"{_list(lost)} {be} not shown to be better than the floors.")
    return lines


def _ranking(board: Leaderboard, rows: Sequence[Row], nothing: Sequence[Row]) -> list[str]:
    """Say how the matchers that learned something stand to the first of them."""
    best, others = rows[0], rows[1:]
    beaten = [board.difference(row.matcher, best.matcher).verdict == "worse" for row in nothing]
    pairs = [(row, board.difference(row.matcher, best.matcher)) for row in others]
    found = {
        verdict: [(row, pair) for row, pair in pairs if pair.verdict == verdict]
        for verdict in ("equivalent", "undecided", "worse")
    }
    alike = [row for row, _ in found["equivalent"]]
    open_ = [row for row, _ in found["undecided"]]
    is_best = bool(beaten or found["worse"]) and all(beaten) and not open_ and not board.problem
    is_best &= board.rows[0].kind == "matcher"
    what = "is best, with a" if is_best else "has the lowest" if others or nothing else "has a"
    first = f"{best.label} {what} log loss of {best.log_loss:.3f}"
    if alike:
        first += f"; {_list(alike)} {'are' if len(alike) > 1 else 'is'} equivalent"
    lines = [first + "."]
    if open_:
        be = "are" if len(open_) > 1 else "is"
        lines.append(f"{_list(open_)} {be} not told apart from it.")
    if found["worse"]:
        said = [f"{row.label} is worse by {_gap(pair)}" for row, pair in found["worse"]]
        lines.append("; ".join(said) + ".")
    return lines


def _clips(board: Leaderboard) -> int:
    """Return how many clips a fold learns from, about."""
    return round(board.n * (1 - 1 / max(board.folds, 2)))


def _gap(pair: Difference) -> str:
    return f"{pair.difference:.3f} ({pair.low:.3f} to {pair.high:.3f})"


def _of_training(board: Leaderboard, rows: Sequence[Row]) -> list[str]:
    """Say of each matcher that stands beside itself untrained whether training was worth it."""
    floors = {row.matcher for row in board.rows if row.n}
    lines = []
    unshown: dict[tuple[str, str], list[Row]] = {}
    for row in (row for row in rows if row.untrained in floors):
        pair = board.difference(row.matcher, row.untrained)
        if pair.verdict == "better":
            gain = _gap(pair.reversed())
            lines.append(f"Training {row.label} was worth it: {gain} better than {row.untrained}.")
        elif pair.verdict == "worse":
            loss = _gap(pair)
            lines.append(f"Training {row.label} made it worse: {loss} worse than {row.untrained}.")
        elif pair.verdict:
            unshown.setdefault((pair.verdict, row.untrained), []).append(row)
    for (verdict, floor), alike in unshown.items():
        why = "is equivalent" if verdict == "equivalent" else "is not told apart"
        lines.append(f"Training {_list(alike)} is not shown to be worth it: {floor} {why}.")
    return lines


def _of_floors(rows: Sequence[Row]) -> list[str]:
    told = [row for row in deaf_floors(rows) if (row.skill_low or 0) > 0]
    lines = []
    if rows[0].kind == "floor" and len({row.kind for row in rows}) > 1:
        lines.append(f"No matcher has a lower log loss than the floor {rows[0].label}.")
    if told:
        be = "are" if len(told) > 1 else "is"
        lines.append(
            f"Mind the data: {_list(told)} {be} better than the base rate without hearing whether "
            "a recording says its text."
        )
    return lines


def _of_failures(rows: Sequence[Row]) -> list[str]:
    failed = [row for row in rows if row.status in ("failed", "skipped")]
    partial = [row for row in rows if row.status == "partial"]
    lines = [f"{_list(failed)} gave no result."] if failed else []
    if partial:
        lines.append(f"{_list(partial)} finished some folds only.")
    return lines


def _list(rows: Sequence[Row]) -> str:
    names = [row.label for row in rows]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
