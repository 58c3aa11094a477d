"""How much a figure varies between groups of clips, and the intervals that follow.

Clips of one group (a text, a speaker) share what makes them easy or hard, so it is groups that vary
independently, not clips. A figure is given with the influence of each clip on it (Hampel, 1974):
for a mean the clip's value less the mean. The variance of the figure is that of the sums of the
influences over groups, unbiased for a mean where groups are alike (CR2: Bell and McCaffrey, 2002;
Pustejovsky and Tipton, 2018).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse, stats

Array = NDArray[np.float64]

CONFIDENCE = 0.95
LEAST_GROUPS = 10
LEAST_FREEDOM = 4.0  # below, a t interval is not to be trusted (Tipton, 2015)


class Interval(NamedTuple):
    """A value with its interval; `low` and `high` are None where there is no interval."""

    value: float | None
    low: float | None = None
    high: float | None = None


class Clusters:
    """The groups of n clips, by one column or crossed by several.

    With several columns (texts and speakers, say) two clips depend on each other where they are
    alike in any of them; the variance is the sum of those by each column less that by both
    (Cameron, Gelbach and Miller, 2011), and at least the largest of them.
    """

    def __init__(self, *columns: Sequence[Any] | NDArray[Any]) -> None:
        codes = [np.unique(np.asarray(c, dtype=str), return_inverse=True)[1] for c in columns]
        self._codes = codes
        self._ways: list[tuple[int, _Way]] = []
        for size in range(1, len(codes) + 1):
            for chosen in itertools.combinations(codes, size):
                self._ways.append(((-1) ** (size + 1), _Way(_crossed(chosen))))
        alone = [way for _, way in self._ways[: len(codes)]]
        self.n = len(codes[0])
        self.count = min(way.count for way in alone)
        self.freedom = min(way.freedom for way in alone)

    def take(self, positions: NDArray[Any]) -> Clusters:
        """Return the groups of some of the clips."""
        return Clusters(*(codes[positions] for codes in self._codes))

    @property
    def problem(self) -> str | None:
        """Why there are no intervals; None where there are."""
        if self.count < LEAST_GROUPS:
            return f"{self.count} groups, and at least {LEAST_GROUPS} are needed"
        if self.freedom < LEAST_FREEDOM:
            return (
                f"most clips are in a few of the {self.count} groups, which say as much as "
                f"{1 + self.freedom:.0f} equal ones"
            )
        return None

    def covariance(self, influence: Array) -> Array:
        """Return the covariance (k, k) of k figures from the influences of clips on them (n, k)."""
        parts = [sign * way.covariance(influence) for sign, way in self._ways]
        total = np.sum(parts, axis=0)
        if len(self._codes) > 1:
            alone = np.max([np.diag(part) for part in parts[: len(self._codes)]], axis=0)
            np.fill_diagonal(total, np.maximum(np.diag(total), alone))
        return np.asarray(total, np.float64)

    def squares(self, values: Array) -> Array:
        """Return the sum over pairs of clips of one group of the products of `values`, (k,).

        `values` has shape (n, k); a clip is a pair with itself.
        """
        found = [sign * (way.sums(values) ** 2).sum(0) for sign, way in self._ways]
        return np.asarray(np.sum(found, axis=0), np.float64)

    def skewness(self, influence: Array) -> float:
        """Return the skewness of a figure's sampling distribution, from influences (n,)."""
        return max(
            (way for _, way in self._ways[: len(self._codes)]),
            key=lambda way: float(way.covariance(influence[:, None])[0, 0]),
        ).skewness(influence)


def _crossed(columns: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Number the combinations of several columns of numbers."""
    joint = columns[0]
    for column in columns[1:]:
        joint = np.unique(joint * (column.max(initial=0) + 1) + column, return_inverse=True)[1]
    return joint


class _Way:
    """Groups by one column: numbers from 0, shape (n,)."""

    def __init__(self, codes: NDArray[np.int64]) -> None:
        n = len(codes)
        self.count = int(codes.max()) + 1 if n else 0
        self._sum = sparse.csr_array((np.ones(n), (codes, np.arange(n))), shape=(self.count, n))
        sizes = self._sum.sum(axis=1)
        self._n = n
        self._share = np.asarray(sizes / max(n, 1), np.float64)
        self._weight = 1 / np.maximum(1 - self._share, 1e-9) if self.count > 1 else sizes * 0
        self.freedom = self._freedom()

    def sums(self, values: Array) -> Array:
        """Return the sums over groups, (groups, k), of `values` (n, k)."""
        return np.asarray(self._sum @ values, np.float64)

    def covariance(self, influence: Array) -> Array:
        """Return CR2's covariance (k, k)."""
        sums = self.sums(influence)  # (groups, k)
        return np.asarray((sums * self._weight[:, None]).T @ sums / max(self._n, 1) ** 2)

    def skewness(self, influence: Array) -> float:
        """Return the skewness of the mean's distribution, with Fisher's and Pearson's factor."""
        sums = self.sums(influence[:, None])[:, 0]
        spread = float((sums**2).sum())
        if self.count < 3 or spread <= 0:
            return 0.0
        factor = np.sqrt(self.count * (self.count - 1)) / (self.count - 2)
        return float((sums**3).sum() / spread**1.5 * factor)

    def _freedom(self) -> float:
        """Return the degrees of freedom of CR2's variance of a mean (Satterthwaite, 1946).

        They are those of a working model in which clips of one group are wholly alike: the variance
        v of a group's sum is its size squared, which gives the least where sizes differ. With s the
        shares of groups, sums less s times their total have the covariance
        C = diag(v) - s v' - v s' + sum(v) s s', and W the weights: tr(WC)^2 / tr(WCWC).
        """
        if self.count < 2:
            return 0.0
        s, w, v = self._share, self._weight, self._share**2
        u = np.stack([s, v], axis=1)  # (groups, 2)
        m = np.array([[v.sum(), -1.0], [-1.0, 0.0]])
        once, twice = u.T @ (w[:, None] * u), u.T @ ((w * w * v)[:, None] * u)
        trace = (w * v).sum() + np.trace(m @ once)
        squared = (w * w * v * v).sum() + 2 * np.trace(m @ twice) + np.trace(m @ once @ m @ once)
        return float(trace**2 / squared)


def t_interval(
    value: float, influence: Array, clusters: Clusters, skewness: float | None = None
) -> Interval:
    """Return a figure with its 95 % interval: t, corrected for skewness (Hall, 1992).

    Losses are skewed: a few sure errors make much of their mean, and a symmetric interval misses on
    one side. `skewness` is what is known of it, else it is estimated. No interval where groups are
    too few, or where nothing varies.
    """
    spread = float(np.sqrt(clusters.covariance(influence[:, None])[0, 0]))
    if clusters.problem or spread <= 1e-12:
        return Interval(value)
    t = float(stats.t.ppf((1 + CONFIDENCE) / 2, clusters.freedom))
    skew = clusters.skewness(influence) if skewness is None else skewness
    low, high = (value - spread * _unskewed(q, skew) for q in (t, -t))
    return Interval(value, low, high)


def _unskewed(q: float, skew: float) -> float:
    """Return the studentised value whose skewness, removed by Hall's cubic, gives `q`."""
    if abs(skew) < 1e-6:
        return q
    return float(3 / skew * (np.cbrt(1 + skew * (q - skew / 6)) - 1))


def as_columns(groups: ArrayLike | Sequence[ArrayLike]) -> Clusters:
    """Return the clusters of a column, or of a tuple of columns."""
    return Clusters(*groups) if isinstance(groups, tuple) else Clusters(np.asarray(groups))
