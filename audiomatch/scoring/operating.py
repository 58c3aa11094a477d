"""Operating points: what a matcher does where P(match) becomes a verdict.

No threshold is judged on clips that chose it: those of a fold are judged by what the clips of the
other folds choose; of one fold alone, a fifth of the groups by what the other four fifths choose.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from audiomatch.dealing import deal
from audiomatch.decisions import least_threshold, threshold_missing, two_thresholds
from audiomatch.records import OperatingPoint
from audiomatch.records.operating import PointKind
from audiomatch.scoring.clusters import Array, Clusters, Interval
from audiomatch.scoring.comparisons import largest_score
from audiomatch.scoring.intervals import share_interval

Positions = NDArray[np.int64]
Mask = NDArray[np.bool_]
ClustersOf = Callable[[Positions], Clusters]
_FIFTHS = 5


@dataclass(frozen=True)
class Rule:
    """How P(match) becomes a verdict (1, 0, or -1 for none), and what is then of interest.

    A share is told as (mask, values), both of shape (n,): the mean of the values under the mask.
    """

    target: float
    kind: ClassVar[PointKind]

    def thresholds(self, p: Array, y: Array) -> Array:
        """Choose up to where a mismatch is said, and from where on a match: shape (2,)."""
        raise NotImplementedError

    def figure(self, y: Array, said: Array) -> tuple[Mask, Array]:
        """Return the share that is of interest."""
        raise NotImplementedError

    def reached(self, _y: Array, _said: Array) -> tuple[Mask, Array] | None:
        """Return the share that the target is about; None where it is about none."""
        return None


class _Precision(Rule):
    kind = "precision"

    def thresholds(self, p: Array, y: Array) -> Array:
        return _one(least_threshold(p, y == 1, self.target))

    def figure(self, y: Array, said: Array) -> tuple[Mask, Array]:
        return y == 1, said

    def reached(self, y: Array, said: Array) -> tuple[Mask, Array]:
        return said == 1, y


class _Misses(Rule):
    kind = "misses"

    def thresholds(self, p: Array, y: Array) -> Array:
        return _one(threshold_missing(p, y, self.target))

    def figure(self, y: Array, said: Array) -> tuple[Mask, Array]:
        return y == 0, said

    def reached(self, y: Array, said: Array) -> tuple[Mask, Array]:
        return y == 1, 1 - said


class _Abstain(Rule):
    kind = "abstain"

    def thresholds(self, p: Array, y: Array) -> Array:
        return two_thresholds(p, y, self.target)

    def figure(self, y: Array, said: Array) -> tuple[Mask, Array]:
        return y >= 0, (said == -1) * 1.0

    def reached(self, y: Array, said: Array) -> tuple[Mask, Array]:
        return said >= 0, (said == y) * 1.0


class _Cost(Rule):
    kind = "cost"

    def thresholds(self, _p: Array, _y: Array) -> Array:
        return np.array([self.target, 1 - self.target])

    def figure(self, y: Array, said: Array) -> tuple[Mask, Array]:
        return y >= 0, (said == 1 - y) + self.target * (said == -1)


# 0.05 is the default of `audiomatch.verdicts`; by 0.5 nothing is left undecided.
RULES = (
    *map(_Precision, (0.9, 0.95, 0.99)),
    *map(_Misses, (0.01, 0.05, 0.1)),
    *map(_Abstain, (0.9, 0.95, 0.99)),
    *map(_Cost, (0.05, 0.5)),
)


def operating_points(
    y: Array,
    p: Array,
    folds: NDArray[np.int64],
    groups: NDArray[np.object_],
    clusters_of: ClustersOf,
    columns: Mapping[str, NDArray[np.object_]],
) -> list[OperatingPoint]:
    """Return the points of `RULES`: over all clips, and over the parts by each column.

    Args:
        y: labels, shape (n,).
        p: P(match), NaN of a clip that is not predicted, shape (n,).
        folds: the fold of each clip, shape (n,).
        groups: what the folds kept together, shape (n,).
        clusters_of: gives the clusters of clips at some positions.
        columns: values by which the clips are parted, texts, each of shape (n,).
    """
    known = np.flatnonzero(~np.isnan(p))
    coded = {
        name: np.unique(values[known], return_inverse=True) for name, values in columns.items()
    }
    chosen_by = _parts(y[known], folds[known], groups[known])
    found = []
    for rule in RULES:
        point = _Judged(rule, y[known], p[known], chosen_by, lambda at: clusters_of(known[at]))
        found.append(point.whole())
        for column, (names, codes) in coded.items():
            found += point.by(column, names, codes)
    return found


def _parts(y: Array, folds: NDArray[np.int64], groups: NDArray[np.object_]) -> NDArray[np.int64]:
    """Return the part of each clip: its thresholds are chosen by the other parts."""
    if len(np.unique(folds)) > 1:
        return folds
    codes = np.unique(groups.astype(str), return_inverse=True)[1]
    k = min(_FIFTHS, int(codes.max(initial=0)) + 1)
    return deal(codes, y.astype(np.int8), k, 0) if k > 1 else codes


class _Judged:
    """The verdicts of one rule on each clip."""

    def __init__(
        self, rule: Rule, y: Array, p: Array, parts: NDArray[np.int64], clusters_of: ClustersOf
    ) -> None:
        self._rule, self._clusters_of = rule, clusters_of
        self._chosen = rule.thresholds(p, y)  # (2,), by all clips
        said = np.empty(len(y))
        for part in np.unique(parts):
            own = parts == part
            said[own] = verdicts_at(p[own], rule.thresholds(p[~own], y[~own]))
        mask, values = rule.figure(y, said)
        self._at, self._values = np.flatnonzero(mask), values[mask]
        self._reached = rule.reached(y, said)

    def whole(self) -> OperatingPoint:
        """Return the point over all clips."""
        return self._point(np.ones(len(self._at), bool), slice(None))

    def by(
        self, column: str, names: NDArray[np.object_], codes: Positions
    ) -> Iterator[OperatingPoint]:
        """Give the point of each value of a column, with how far it is from that of the others."""
        own = codes[self._at]
        gaps = self._gaps([own == code for code in range(len(names))])
        for code, (name, gap) in enumerate(zip(names, gaps, strict=True)):
            ends = {"gap": gap.value, "gap_low": gap.low, "gap_high": gap.high}
            yield self._point(own == code, codes == code, column=column, part=str(name), **ends)

    def _point(self, held: Mask, among: Mask | slice, **facts: object) -> OperatingPoint:
        """Return the point of the clips `held` of those that count, and `among` all clips."""
        clusters = self._clusters_of(self._at[held])
        figure = Interval(None)
        if held.any():
            value = float(self._values[held].mean())
            figure = share_interval(value, self._values[held] - value, clusters)
        mismatch, match = (float(one) if np.isfinite(one) else None for one in self._chosen)
        return OperatingPoint(
            kind=self._rule.kind,
            target=self._rule.target,
            threshold=match,
            mismatch_threshold=mismatch if self._rule.kind in ("abstain", "cost") else None,
            value=figure.value,
            low=figure.low,
            high=figure.high,
            reached=self._mean_reached(among),
            n=int(held.sum()),
            groups=clusters.count,
            **facts,
        )

    def _mean_reached(self, among: Mask | slice) -> float | None:
        if self._reached is None:
            return None
        mask, values = (one[among] for one in self._reached)
        return float(values[mask].mean()) if mask.any() else None

    def _gaps(self, parts: list[Mask]) -> list[Interval]:
        """Return how far the mean of each part is from that of the other clips.

        The intervals hold together; there is none of a part, or of its others, in too few groups.
        """
        gaps: list[float | None] = []
        moves, freedoms = [], []
        for held in parts:
            if not 0 < held.sum() < len(held):
                gaps.append(None)
                continue
            sides = [(held, 1), (~held, -1)]
            means = [self._values[side].mean() for side, _ in sides]
            gaps.append(float(means[0] - means[1]))
            move = np.zeros(len(held))
            for (side, sign), mean in zip(sides, means, strict=True):
                move[side] = sign * (self._values[side] - mean) * len(held) / side.sum()
            own = [self._clusters_of(self._at[side]) for side, _ in sides]
            freedoms.append(0.0 if any(c.problem for c in own) else min(c.freedom for c in own))
            moves.append(move)
        reaches = iter(self._reaches(moves, freedoms))
        return [Interval(None) if gap is None else _around(gap, next(reaches)) for gap in gaps]

    def _reaches(self, moves: list[Array], freedoms: list[float]) -> list[float | None]:
        """Return half the width of the interval of each gap, from what each clip moves it."""
        clusters = self._clusters_of(self._at)
        spreads = [float(np.sqrt(clusters.covariance(one[:, None])[0, 0])) for one in moves]
        judged = [s > 1e-12 and f > 0 for s, f in zip(spreads, freedoms, strict=True)]
        score = largest_score([one for one, ok in zip(moves, judged, strict=True) if ok], clusters)
        level = stats.norm.cdf(score)
        return [
            float(s * stats.t.ppf(level, f)) if ok else None
            for s, f, ok in zip(spreads, freedoms, judged, strict=True)
        ]


def _one(threshold: float | None) -> Array:
    """Return one threshold as both; one above every clip where there is none."""
    return np.full(2, np.inf if threshold is None else threshold)


def verdicts_at(p: Array, thresholds: Array) -> Array:
    """Return 1 for a match, 0 for a mismatch and -1 for neither, float of shape (n,)."""
    mismatch, match = thresholds
    below = (p <= mismatch) | (p < match) * (mismatch == match)
    return np.where(p >= match, 1.0, np.where(below, 0.0, -1.0))


def _around(value: float, reach: float | None) -> Interval:
    return Interval(value) if reach is None else Interval(value, value - reach, value + reach)
