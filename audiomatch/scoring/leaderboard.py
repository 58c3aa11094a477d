"""The leaderboard: one row a matcher or floor, made of pooled held-out predictions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from audiomatch.folds import BY_TEXT
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
from audiomatch.scoring.clusters import CONFIDENCE, Array, Clusters
from audiomatch.scoring.comparisons import MATTERS, compare_all, found_detectable, letters
from audiomatch.scoring.intervals import bounded
from audiomatch.scoring.metrics import (
    METRICS,
    checked,
    clip_losses,
    recall_at_precision,
    says_nothing,
)
from audiomatch.scoring.reliability import CALIBRATION_BINS, error_of
from audiomatch.text import text_key

COLUMNS = ("id", "matcher", "fold", "group", "match", "p_match")
BY_GROUP = "group"
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
        predictions: pooled held-out predictions, a row a clip and matcher, with `COLUMNS` and,
            where known, `task`, `grade` and what `cluster` names.
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
    table = _Table(predictions, cluster)
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
        losses = {row.matcher: table.losses(row.matcher) for row in rows if row.n}
        flat = [row.matcher for row in rows if row.n and row.learned_nothing == row.folds_done]
        floors = [row.matcher for row in rows if row.kind == "floor" and row.n]
        pairs = compare_all(
            losses, table.clusters, flat=flat, floors=floors, matters=matters, seed=seed
        )
    judged = any(pair.verdict for pair in pairs)
    matchers = {row.matcher for row in rows if row.kind == "matcher"}
    return Leaderboard(
        rows=_compared(rows, pairs, letters(list(losses), pairs) if judged else {}),
        comparisons=tuple(pairs),
        n=len(table.clips),
        matches=int(table.y.sum()),
        groups=table.clusters.count,
        folds=len(every),
        cluster=cluster,
        question=question(cluster),
        problem=table.clusters.problem if table.p else None,
        matters=matters,
        detectable=found_detectable([p for p in pairs if {p.a, p.b} <= matchers]),
        seed=seed,
        confidence=CONFIDENCE,
        calibration_bins=CALIBRATION_BINS,
    )


def question(cluster: str) -> str:
    """Return what intervals over `cluster` are of."""
    named = "groups" if cluster == BY_GROUP else cluster.replace("+", " and ")
    return f"these fitted models on other {named}, not other training runs of the same recipes"


def _compared(
    rows: Sequence[Row], pairs: Sequence[Difference], tiers: Mapping[str, str]
) -> tuple[Row, ...]:
    """Return the rows with what the pairs say of them."""
    both_ways = {(p.a, p.b): p for pair in pairs for p in (pair, pair.reversed())}
    floors = [row.matcher for row in rows if row.kind == "floor" and row.n]

    def of(row: Row) -> dict[str, object]:
        beats = None
        if row.kind == "matcher" and row.skill_low is not None:
            against = [both_ways[row.matcher, floor].verdict for floor in floors]
            beats = row.skill_low > 0 and all(verdict == "better" for verdict in against)
        best = both_ways.get((row.matcher, rows[0].matcher))
        return {"vs_best": best, "tier": tiers.get(row.matcher, ""), "beats_floors": beats}

    return tuple(row.model_copy(update=of(row)) for row in rows)


class _Table:
    """The clips once, each matcher's predictions beside them (NaN where it has none)."""

    def __init__(self, predictions: pd.DataFrame, cluster: str) -> None:
        wanted = [*COLUMNS, *cluster.split("+")]
        missing = [name for name in wanted if name not in predictions.columns]
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
        self.folds = clips["fold"].to_numpy(np.int64)
        self.clusters = clusters_by(clips, cluster)
        self.p: dict[str, Array] = {}
        where = pd.Index(clips["id"])
        for matcher, part in predictions.groupby("matcher", sort=False):
            p = np.full(len(clips), np.nan)
            p[where.get_indexer(part["id"])] = part["p_match"].to_numpy(np.float64)
            self.p[str(matcher)] = p
        self._parts: dict[bytes, Clusters] = {}

    def losses(self, matcher: str) -> Array:
        """Return the loss of each clip, NaN where it is not predicted."""
        return np.where(np.isnan(self.p[matcher]), np.nan, clip_losses(self.y, self.p[matcher]))

    def score(self, matcher: str, chosen: NDArray[np.bool_]) -> Scores:
        """Return a matcher's metrics with intervals over the chosen clips that it predicted."""
        p = self.p.get(matcher, np.full(len(self.y), np.nan))
        positions = np.flatnonzero(chosen & ~np.isnan(p))
        if not len(positions):
            return Scores(n=0, groups=0)
        y, p, folds = self.y[positions], p[positions], self.folds[positions]
        clusters = self._part(positions)
        found = {
            name: bounded(name, metric, y, p, folds, clusters) for name, metric in METRICS.items()
        }
        error = error_of(y, p, clusters)
        ends: dict[str, float | None] = {
            "calibration_error_chance": error.chance,
            "recall_at_precision": recall_at_precision(y, p),
        }
        for name, one in {**found, "calibration_error": error.error}.items():
            ends |= {name: one.value, f"{name}_low": one.low, f"{name}_high": one.high}
        return Scores(n=len(positions), groups=clusters.count, **ends)

    def by(self, column: str, matcher: str) -> list[tuple[str, Scores]]:
        """Return the scores for each value of a column; empty where no clip has one."""
        values = self.clips[column]
        if (values == "").all():
            return []
        return [
            (value, self.score(matcher, (values == value).to_numpy(bool)))
            for value in sorted(values.unique(), key=_natural if column == "grade" else None)
        ]

    def says_nothing(self, matcher: str, chosen: NDArray[np.bool_]) -> bool:
        """Tell whether a matcher's predictions of the chosen clips are hardly more than one."""
        return says_nothing(self.p[matcher][chosen]) if matcher in self.p else False

    def _part(self, positions: NDArray[np.int64]) -> Clusters:
        """Return the groups of a set of clips: made once for all matchers."""
        key = positions.tobytes()
        if key not in self._parts:
            self._parts[key] = self.clusters.take(positions)
        return self._parts[key]


def clusters_by(clips: pd.DataFrame, cluster: str) -> Clusters:
    """Return the groups of clips by a column, or by several that cross: `a+b`."""
    return Clusters(*(_cluster_values(clips, name) for name in cluster.split("+")))


def _cluster_values(clips: pd.DataFrame, column: str) -> NDArray[np.object_]:
    """Return what each clip has in a column that varies; of texts, as folds know them."""
    values = clips[column].astype(str)
    return (values.map(text_key) if column == BY_TEXT else values).to_numpy(object)


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
    held_out = table.folds == fold.fold
    return FoldScores(
        fold=fold.fold,
        status=fold.status,
        **dict(table.score(fold.matcher, held_out)),
        seconds_fit=fold.seconds_fit,
        seconds_predict=fold.seconds_predict,
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


def _natural(grade: str) -> tuple[int, str]:
    """Order kindergarten before grade 1, and grade 2 before grade 10."""
    first = grade.strip().upper()
    if first in ("K", "KG", "KINDERGARTEN"):
        return 0, grade
    digits = re.search(r"\d+", first)
    return (int(digits.group()), grade) if digits else (10**6, grade)
