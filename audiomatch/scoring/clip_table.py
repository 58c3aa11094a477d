"""The clips of a run once, each matcher's predictions beside them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from audiomatch.folds import BY_TEXT
from audiomatch.records import Calibrated, CalibrationRecord, OperatingPoint, Scores
from audiomatch.scoring.clusters import Array, Clusters
from audiomatch.scoring.comparisons import compare_by
from audiomatch.scoring.intervals import bounded
from audiomatch.scoring.metrics import (
    METRICS,
    checked,
    clip_losses,
    recall_at_precision,
    says_nothing,
)
from audiomatch.scoring.operating import operating_points
from audiomatch.scoring.reliability import error_of
from audiomatch.text import text_key

REPEAT = "repeat"
COLUMNS = ("id", "matcher", "fold", "group", "match", "p_match")
BY_GROUP = "group"


class ClipTable:
    """The clips, each matcher's predictions beside them (NaN where it has none).

    Where a cross-validation was repeated a clip stands in it once a repeat: the mean over its rows
    is the mean over clips of that over repeats, and so is each clip's influence.
    """

    def __init__(self, predictions: pd.DataFrame, cluster: str) -> None:
        wanted = [*COLUMNS, *cluster.split("+")]
        missing = [name for name in wanted if name not in predictions.columns]
        if missing:
            raise ValueError(f"predictions have no column {missing[0]!r}")
        repeats = predictions.get(REPEAT, 0)
        predictions = predictions.assign(repeat=repeats)
        twice = predictions.duplicated(["matcher", "id", REPEAT])
        if twice.any():
            at = predictions[twice].iloc[0]
            raise ValueError(f"{at['matcher']} predicts clip {at['id']!r} twice")
        checked(predictions["match"], predictions["p_match"])
        # Sorted, so that the rows' order in the file changes no digit of an interval.
        rows = ["id", REPEAT]
        clips = predictions.drop_duplicates(rows).sort_values(rows, ignore_index=True)
        for name in ("task", "grade"):
            clips[name] = clips[name].fillna("").astype(str) if name in clips else ""
        self.clips = clips
        self.y = clips["match"].to_numpy(np.float64)
        self.repeats = clips[REPEAT].to_numpy(np.int64)
        # Models of two repeats have scales of their own, as those of two folds do.
        k = int(clips["fold"].max()) + 1 if len(clips) else 1
        self.folds = clips["fold"].to_numpy(np.int64) + k * self.repeats
        self.clusters = clusters_by(clips, cluster)
        ids = clips["id"].to_numpy(str)
        self.clip = np.unique(ids, return_inverse=True)[1]  # (rows,) numbers of clips
        first = np.flatnonzero(np.diff(self.clip, prepend=-1))
        self.labels = self.y[first]  # (clips,)
        self.clusters_of_clips = self.clusters.take(first)
        self.p: dict[str, Array] = {}
        self._calibrated: dict[str, Array] = {}
        where = pd.MultiIndex.from_frame(clips[rows])
        for matcher, part in predictions.groupby("matcher", sort=False):
            places = where.get_indexer(pd.MultiIndex.from_frame(part[rows]))
            for name, known in (("p_match", self.p), ("p_calibrated", self._calibrated)):
                if name in part:
                    own: Array = np.full(len(clips), np.nan)
                    own[places] = part[name].to_numpy(np.float64)
                    known[str(matcher)] = own
        self._parts: dict[bytes, Clusters] = {}

    def losses(self, matcher: str) -> Array:
        """Return the loss of each clip, the mean over repeats; NaN where one has not predicted it.

        Shape (clips,).
        """
        p = self.p[matcher]
        losses = np.where(np.isnan(p), np.nan, clip_losses(self.y, p))
        return np.asarray(np.bincount(self.clip, losses) / np.bincount(self.clip), np.float64)

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
        return Scores(n=len(np.unique(self.clip[positions])), groups=clusters.count, **ends)

    def by(self, column: str, matcher: str) -> list[tuple[str, Scores]]:
        """Return the scores for each value of a column; empty where no clip has one."""
        values = self.clips[column]
        if (values == "").all():
            return []
        return [
            (value, self.score(matcher, (values == value).to_numpy(bool)))
            for value in sorted(values.unique(), key=_natural if column == "grade" else None)
        ]

    def operating(
        self, matcher: str, columns: Sequence[str] = ("task", "grade")
    ) -> list[OperatingPoint]:
        """Return a matcher's operating points, also for each value of columns that have any.

        They are of the first repeat: no threshold is chosen by a clip that it judges.
        """
        p = np.where(self.repeats == 0, self.p[matcher], np.nan)
        values = {name: self.clips[name].fillna("").astype(str) for name in columns}
        by = {name: one.to_numpy(object) for name, one in values.items() if (one != "").any()}
        groups = self.clips["group"].to_numpy(object)
        return operating_points(self.y, p, self.folds, groups, self._part, by)

    def held_out(self, fold: int, repeat: int) -> NDArray[np.bool_]:
        """Tell which rows are of a fold of a repeat."""
        own = self.clips["fold"].to_numpy(np.int64) == fold
        return np.asarray(own & (self.repeats == repeat), np.bool_)

    def calibrated(self, matcher: str, by: Sequence[CalibrationRecord]) -> Calibrated | None:
        """Return what the calibrations of a matcher's folds make of it; None where it has none."""
        p = self._calibrated.get(matcher)
        if p is None or not by or np.isnan(p).all():
            return None
        positions = np.flatnonzero(~np.isnan(p))
        y, p, raw = self.y[positions], p[positions], self.p[matcher][positions]
        clusters, folds = self._part(positions), self.folds[positions]
        found = bounded("log_loss", METRICS["log_loss"], y, p, folds, clusters)
        names = "calibrated", matcher
        pair = compare_by(names, clip_losses(y, p) - clip_losses(y, raw), clusters)[""]
        kept = Counter((one.method, one.by) for one in by if one.method != "none")
        method, parting = kept.most_common(1)[0][0] if kept else ("none", "")
        return Calibrated(
            method=method,
            by=parting,
            log_loss=found.value,
            low=found.low,
            high=found.high,
            difference=pair.difference,
            difference_low=pair.low,
            difference_high=pair.high,
            kept_folds=kept.total(),
            folds=len(by),
        )

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


def _natural(grade: str) -> tuple[int, str]:
    """Order kindergarten before grade 1, and grade 2 before grade 10."""
    first = grade.strip().upper()
    if first in ("K", "KG", "KINDERGARTEN"):
        return 0, grade
    digits = re.search(r"\d+", first)
    return (int(digits.group()), grade) if digits else (10**6, grade)
