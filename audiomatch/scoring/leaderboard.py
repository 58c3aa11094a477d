"""The leaderboard: one row a matcher or floor, made of pooled held-out predictions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from audiomatch.records import (
    Difference,
    FoldError,
    FoldScores,
    FoldSummary,
    GradeScores,
    Leaderboard,
    Row,
    RowStatus,
    TaskScores,
    deaf_floors,
)
from audiomatch.scoring.clip_table import BY_GROUP, ClipTable
from audiomatch.scoring.clusters import CONFIDENCE
from audiomatch.scoring.comparisons import MATTERS, compare_all, found_detectable, letters
from audiomatch.scoring.reliability import CALIBRATION_BINS

_ORDER = {"done": 0, "partial": 1, "failed": 2, "skipped": 3}


def build_leaderboard(
    predictions: pd.DataFrame,
    results: Sequence[FoldSummary],
    *,
    cluster: str = BY_GROUP,
    matters: float = MATTERS,
    seed: int = 0,
) -> Leaderboard:
    """Score every matcher of a run.

    Args:
        predictions: pooled held-out predictions, a row a clip and matcher, with the columns that
            `ClipTable` needs and, where known, `task`, `grade` and what `cluster` names.
        results: what became of each fold of each matcher.
        cluster: the column whose values are taken for drawn at random, by which intervals are
            made; `a+b` for two that cross.
        matters: nats of log loss; a smaller difference is called equivalent.
        seed: of the draws behind the width of differences.

    Returns:
        The leaderboard: rows by rising log loss, first those that finished every fold (`done`),
        then those scored over the folds they have (`partial`), then those without any (`failed`,
        `skipped`);
        and a comparison of each pair over the clips that both predicted.

    Raises:
        ValueError: a column is missing, a clip is predicted twice by one matcher, a prediction is
            no probability, or a prediction's matcher has no finished fold in `results`.
    """
    table = ClipTable(predictions, cluster)
    runs: dict[str, list[FoldSummary]] = {}
    for result in results:
        runs.setdefault(result.matcher, []).append(result)
    finished = {matcher for matcher, folds in runs.items() if any(f.done for f in folds)}
    stray = set(table.p) - finished
    if stray:
        raise ValueError(f"predictions of {sorted(stray)} without a finished fold in the results")
    every = sorted({(result.repeat, result.fold) for result in results})
    repeats = len({repeat for repeat, _ in every})
    # The products are small: threads would cost more than they give on a busy machine.
    with threadpool_limits(limits=1):
        rows = [_row(name, folds, every, table) for name, folds in runs.items()]
        rows.sort(key=_rank)
        losses = {row.matcher: table.losses(row.matcher) for row in rows if row.n}
        flat = [row.matcher for row in rows if row.n and row.learned_nothing == row.folds_done]
        floors = [row.matcher for row in rows if row.kind == "floor" and row.n]
        pairs = compare_all(
            losses, table.clusters_of_clips, flat=flat, floors=floors, matters=matters, seed=seed
        )
    judged = any(pair.verdict for pair in pairs)
    matchers = {row.matcher for row in rows if row.kind == "matcher"}
    return Leaderboard(
        rows=_compared(rows, pairs, letters(list(losses), pairs) if judged else {}),
        comparisons=tuple(pairs),
        n=len(table.labels),
        matches=int(table.labels.sum()),
        groups=table.clusters.count,
        folds=len({fold for _, fold in every}),
        repeats=max(repeats, 1),
        cluster=cluster,
        question=question(cluster, repeats),
        problem=table.clusters.problem if table.p else None,
        matters=matters,
        detectable=found_detectable([p for p in pairs if {p.a, p.b} <= matchers]),
        seed=seed,
        confidence=CONFIDENCE,
        calibration_bins=CALIBRATION_BINS,
    )


def question(cluster: str, repeats: int = 1) -> str:
    """Return what intervals over `cluster` are of."""
    named = "groups" if cluster == BY_GROUP else cluster.replace("+", " and ")
    each = f", {repeats} of each," if repeats > 1 else ""
    return (
        f"these fitted models{each} on other {named}, not other training runs of the same recipes"
    )


def _compared(
    rows: Sequence[Row], pairs: Sequence[Difference], tiers: Mapping[str, str]
) -> tuple[Row, ...]:
    """Return the rows with what the pairs say of them."""
    both_ways = {(p.a, p.b): p for pair in pairs for p in (pair, pair.reversed())}
    floors = [row.matcher for row in deaf_floors(rows)]

    def of(row: Row) -> dict[str, object]:
        beats = None
        if row.kind == "matcher" and row.skill_low is not None:
            against = [both_ways[row.matcher, floor].verdict for floor in floors]
            beats = row.skill_low > 0 and all(verdict == "better" for verdict in against)
        best = both_ways.get((row.matcher, rows[0].matcher))
        return {"vs_best": best, "tier": tiers.get(row.matcher, ""), "beats_floors": beats}

    return tuple(row.model_copy(update=of(row)) for row in rows)


def _row(
    matcher: str, folds: list[FoldSummary], every: list[tuple[int, int]], table: ClipTable
) -> Row:
    done = [fold for fold in folds if fold.done]
    weights = sorted({fold.weights for fold in done if fold.weights})
    predict = _sum(fold.seconds_predict for fold in done)
    predicted = sum(fold.clips_predict for fold in done)
    by_task = table.by("task", matcher) if done else []
    by_grade = table.by("grade", matcher) if done else []
    return Row(
        matcher=matcher,
        label=f"{matcher} (scratch)" if "scratch" in weights else matcher,
        kind=folds[0].kind,
        untrained=folds[0].untrained,
        status=_status(folds, len(done), len(every)),
        **dict(table.score(matcher, np.ones(len(table.y), bool))),
        folds_done=len(done),
        folds_failed=sum(fold.status == "failed" for fold in folds),
        replayed_folds=sum(fold.replayed for fold in done),
        errors=tuple(
            FoldError(fold=f.fold, repeat=f.repeat, error=f.error) for f in folds if f.error
        ),
        warnings=_warnings(folds),
        seconds_fit=_sum(fold.seconds_fit for fold in done),
        seconds_predict=predict,
        seconds_cached=_cached(done),
        side_by_side=any(fold.side_by_side for fold in done),
        clips_per_second=predicted / predict if predicted and predict else None,
        peak_memory_mb=_max(fold.peak_memory_mb for fold in done),
        own_memory_mb=_max(fold.own_memory_mb for fold in done),
        peak_gpu_memory_mb=_max(fold.peak_gpu_memory_mb for fold in done),
        weights=", ".join(weights) or None,
        by_fold=tuple(
            _fold(fold, table) for fold in sorted(folds, key=lambda f: (f.repeat, f.fold))
        ),
        by_task=tuple(TaskScores(task=task, **dict(scores)) for task, scores in by_task),
        by_grade=tuple(GradeScores(grade=grade, **dict(scores)) for grade, scores in by_grade),
        calibrated=table.calibrated(matcher, [f.calibration for f in done if f.calibration]),
        operating=tuple(table.operating(matcher)) if done else (),
    )


def _warnings(folds: Sequence[FoldSummary]) -> tuple[str, ...]:
    said = {fold.warning for fold in folds if fold.warning}
    return (
        *sorted(said),
        *(f"fold {f.fold + 1}{f.which}: not calibrated: {f.uncalibrated}" for f in folds
          if f.uncalibrated),
    )  # fmt: skip


def _cached(folds: Sequence[FoldSummary]) -> float:
    """Return what a matcher's features took beside its own seconds.

    Every fold uses those of all clips, so the most of a fold is what all of them took.
    """
    every = max((fold.seconds_features + fold.seconds_cached for fold in folds), default=0.0)
    return max(0.0, every - sum(fold.seconds_features for fold in folds))


def _status(folds: list[FoldSummary], done: int, every: int) -> RowStatus:
    if done:
        return "done" if done == every else "partial"
    return "skipped" if all(fold.status == "skipped" for fold in folds) else "failed"


def _fold(fold: FoldSummary, table: ClipTable) -> FoldScores:
    held_out = table.held_out(fold.fold, fold.repeat)
    return FoldScores(
        fold=fold.fold,
        repeat=fold.repeat,
        status=fold.status,
        **dict(table.score(fold.matcher, held_out)),
        seconds_fit=fold.seconds_fit,
        seconds_predict=fold.seconds_predict,
        seconds_features=fold.seconds_features,
        seconds_cached=fold.seconds_cached,
        peak_memory_mb=fold.peak_memory_mb,
        replayed=fold.replayed,
        error=fold.error,
        base_rate=fold.done and table.says_nothing(fold.matcher, held_out),
    )


def _rank(row: Row) -> tuple[int, float, str]:
    return _ORDER[row.status], np.inf if row.log_loss is None else row.log_loss, row.matcher


def _sum(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _max(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)
