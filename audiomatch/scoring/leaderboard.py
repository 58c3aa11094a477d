"""The leaderboard: one row a matcher or floor, made of pooled held-out predictions."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
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
    Scores,
    TaskScores,
)
from audiomatch.scoring.intervals import (
    CONFIDENCE,
    Interval,
    is_tie,
    loss_difference,
    metric_intervals,
)
from audiomatch.scoring.metrics import CALIBRATION_BINS, Array, checked, clip_losses
from audiomatch.scoring.resamples import Resamples

COLUMNS = ("id", "matcher", "fold", "group", "match", "p_match")
_ORDER = {"done": 0, "partial": 1, "failed": 2, "skipped": 3}


def build_leaderboard(
    predictions: pd.DataFrame,
    results: Sequence[FoldSummary],
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Leaderboard:
    """Score every matcher of a run.

    Args:
        predictions: pooled held-out predictions, a row a clip and matcher, with `COLUMNS` and,
            where known, `task` and `grade`.
        results: what became of each fold of each matcher.
        resamples: bootstrap resamples of groups behind each interval.
        seed: of the resampling.

    Returns:
        The leaderboard: rows by rising log loss, first those that finished every fold (`done`),
        then those scored over the folds they have (`partial`), then those without any (`failed`,
        `skipped`);
        and a comparison of each pair over the clips that both predicted.

    Raises:
        ValueError: a column is missing, a clip is predicted twice by one matcher, a prediction is
            no probability, or a prediction's matcher has no finished fold in `results`.
    """
    table = _Table(predictions, resamples, seed)
    runs: dict[str, list[FoldSummary]] = {}
    for result in results:
        runs.setdefault(result.matcher, []).append(result)
    finished = {matcher for matcher, folds in runs.items() if any(f.done for f in folds)}
    stray = set(table.p) - finished
    if stray:
        raise ValueError(f"predictions of {sorted(stray)} without a finished fold in the results")
    every = sorted({result.fold for result in results})
    # The products are small: threads would cost more than they give on a busy machine.
    with threadpool_limits(limits=1):
        rows = [_row(name, folds, every, table) for name, folds in runs.items()]
    rows.sort(key=_rank)
    comparisons = [
        table.compare(a.matcher, b.matcher)
        for a, b in itertools.combinations([row for row in rows if row.n], 2)
    ]
    against_best = {pair.b: pair.reversed() for pair in comparisons if pair.a == rows[0].matcher}
    return Leaderboard(
        rows=tuple(
            row.model_copy(update={"vs_best": against_best.get(row.matcher)}) for row in rows
        ),
        comparisons=tuple(comparisons),
        n=len(table.clips),
        matches=int(table.y.sum()),
        groups=int(table.clips["group"].nunique()),
        folds=len(every),
        resamples=resamples,
        seed=seed,
        confidence=CONFIDENCE,
        calibration_bins=CALIBRATION_BINS,
    )


class _Table:
    """The clips once, each matcher's predictions beside them (NaN where it has none)."""

    def __init__(self, predictions: pd.DataFrame, resamples: int, seed: int) -> None:
        missing = [name for name in COLUMNS if name not in predictions.columns]
        if missing:
            raise ValueError(f"predictions have no column {missing[0]!r}")
        twice = predictions.duplicated(["matcher", "id"])
        if twice.any():
            at = predictions[twice].iloc[0]
            raise ValueError(f"{at['matcher']} predicts clip {at['id']!r} twice")
        checked(predictions["match"], predictions["p_match"])
        # Sorted, so that the rows' order in the file changes no digit of an interval.
        clips = predictions.drop_duplicates("id").sort_values("id", ignore_index=True)
        for name in ("task", "grade"):
            clips[name] = clips[name].fillna("").astype(str) if name in clips else ""
        self.clips = clips
        self.y = clips["match"].to_numpy(np.float64)
        self.groups = clips["group"].astype(str).to_numpy(object)
        self.p: dict[str, Array] = {}
        where = pd.Index(clips["id"])
        for matcher, part in predictions.groupby("matcher", sort=False):
            p = np.full(len(clips), np.nan)
            p[where.get_indexer(part["id"])] = part["p_match"].to_numpy(np.float64)
            self.p[str(matcher)] = p
        self._size, self._seed = resamples, seed
        self._drawn: dict[bytes, Resamples] = {}

    def resamples(self, positions: NDArray[np.int64]) -> Resamples:
        """Return the draws for a set of clips: made once, so the same for every matcher."""
        key = positions.tobytes()
        if key not in self._drawn:
            self._drawn[key] = Resamples(self.groups[positions], self._size, self._seed)
        return self._drawn[key]

    def score(self, matcher: str, chosen: NDArray[np.bool_]) -> Scores:
        """Return a matcher's metrics with intervals over the chosen clips that it predicted."""
        p = self.p.get(matcher, np.full(len(self.y), np.nan))
        positions = np.flatnonzero(chosen & ~np.isnan(p))
        if not len(positions):
            return Scores(n=0, groups=0)
        drawn = self.resamples(positions)
        ends: dict[str, float | None] = {}
        for name, found in metric_intervals(self.y[positions], p[positions], drawn).items():
            ends |= {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
        return Scores(n=len(positions), groups=drawn.groups, **ends)

    def by(self, column: str, matcher: str) -> list[tuple[str, Scores]]:
        """Return the scores for each value of a column; empty where no clip has one."""
        values = self.clips[column]
        if (values == "").all():
            return []
        return [
            (value, self.score(matcher, (values == value).to_numpy(bool)))
            for value in sorted(values.unique(), key=_natural if column == "grade" else None)
        ]

    def compare(self, a: str, b: str) -> Difference:
        """Return the log loss of `a` minus that of `b` over the clips that both predicted."""
        positions = np.flatnonzero(~np.isnan(self.p[a]) & ~np.isnan(self.p[b]))
        y = self.y[positions]
        losses_a, losses_b = (clip_losses(y, self.p[name][positions]) for name in (a, b))
        found = Interval(None, None, None)
        if len(positions):
            found = loss_difference(losses_a - losses_b, self.resamples(positions))
        return Difference(
            a=a,
            b=b,
            difference=found.value,
            low=found.low,
            high=found.high,
            tie=is_tie(found),
            n=len(positions),
        )


def _row(matcher: str, folds: list[FoldSummary], every: list[int], table: _Table) -> Row:
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
        status=_status(folds, len(done), len(every)),
        **dict(table.score(matcher, np.ones(len(table.y), bool))),
        folds_done=len(done),
        folds_failed=sum(fold.status == "failed" for fold in folds),
        replayed_folds=sum(fold.replayed for fold in done),
        errors=tuple(FoldError(fold=f.fold, error=f.error) for f in folds if f.error),
        warnings=tuple(sorted({fold.warning for fold in folds if fold.warning})),
        seconds_fit=_sum(fold.seconds_fit for fold in done),
        seconds_predict=predict,
        side_by_side=any(fold.side_by_side for fold in done),
        clips_per_second=predicted / predict if predicted and predict else None,
        peak_memory_mb=_max(fold.peak_memory_mb for fold in done),
        peak_gpu_memory_mb=_max(fold.peak_gpu_memory_mb for fold in done),
        weights=", ".join(weights) or None,
        by_fold=tuple(_fold(fold, table) for fold in sorted(folds, key=lambda f: f.fold)),
        by_task=tuple(TaskScores(task=task, **dict(scores)) for task, scores in by_task),
        by_grade=tuple(GradeScores(grade=grade, **dict(scores)) for grade, scores in by_grade),
    )


def _status(folds: list[FoldSummary], done: int, every: int) -> RowStatus:
    if done:
        return "done" if done == every else "partial"
    return "skipped" if all(fold.status == "skipped" for fold in folds) else "failed"


def _fold(fold: FoldSummary, table: _Table) -> FoldScores:
    held_out = (table.clips["fold"] == fold.fold).to_numpy(bool)
    return FoldScores(
        fold=fold.fold,
        status=fold.status,
        **dict(table.score(fold.matcher, held_out)),
        seconds_fit=fold.seconds_fit,
        seconds_predict=fold.seconds_predict,
        peak_memory_mb=fold.peak_memory_mb,
        replayed=fold.replayed,
        error=fold.error,
    )


def _rank(row: Row) -> tuple[int, float, str]:
    return _ORDER[row.status], np.inf if row.log_loss is None else row.log_loss, row.matcher


def _sum(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _max(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _natural(grade: str) -> tuple[int, str]:
    """Order kindergarten before grade 1, and grade 2 before grade 10."""
    first = grade.strip().upper()
    if first in ("K", "KG", "KINDERGARTEN"):
        return 0, grade
    digits = re.search(r"\d+", first)
    return (int(digits.group()), grade) if digits else (10**6, grade)
