"""Percentile intervals that resample whole groups.

Clips of one group (one text, one speaker) share what makes them easy or hard, so groups are drawn
with replacement, each with all its clips: the cluster bootstrap (Davison and Hinkley, 1997,
"Bootstrap methods and their application", section 3.8; Field and Welsh, 2007, "Bootstrapping
clustered data"), with percentile intervals (Efron and Tibshirani, 1993, chapter 13). Folds stay as
they are: the intervals hold the fitted models fixed. With few groups they are too narrow.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audiomatch.scoring.metrics import METRICS, Array, Weighted, checked, clip_losses

CONFIDENCE = 0.95
_CHUNK = 1 << 18  # weights held at once: 2 MB, whatever the number of clips


class Interval(NamedTuple):
    """A value with its interval; `low` and `high` are None where there is no interval."""

    value: float | None
    low: float | None
    high: float | None


class Resamples:
    """How often each group is drawn in each resample: the same draws for every matcher."""

    def __init__(self, groups: Sequence[Any] | NDArray[Any], resamples: int, seed: int) -> None:
        names, self.codes = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
        self.groups = len(names)
        self.size = resamples if self.groups > 1 else 0
        rng = np.random.default_rng(seed)
        self.counts = np.empty((self.size, self.groups), np.uint16)
        for row in self.counts:
            drawn = rng.integers(self.groups, size=self.groups)
            row[:] = np.bincount(drawn, minlength=self.groups)

    def weights(self, positions: NDArray[np.int64]) -> Iterator[Array]:
        """Yield the weights of the clips at `positions`, a few resamples at a time."""
        codes = self.codes[positions]
        step = max(1, _CHUNK // max(len(codes), 1))
        for start in range(0, self.size, step):
            yield self.counts[start : start + step, codes].astype(np.float64)

    def means(self, values: Array) -> Array:
        """Return the weighted mean of the clips' `values` in each resample."""
        sums = np.bincount(self.codes, weights=values, minlength=self.groups)
        sizes = np.bincount(self.codes, minlength=self.groups)
        step = max(1, _CHUNK // self.groups)
        chunks = (self.counts[at : at + step] for at in range(0, self.size, step))
        totals = [chunk.astype(np.float64) @ np.column_stack([sums, sizes]) for chunk in chunks]
        drawn = np.concatenate([np.empty((0, 2)), *totals])
        return np.asarray(drawn[:, 0] / drawn[:, 1], np.float64)


def metric_intervals(y: Array, p: Array, resamples: Resamples) -> dict[str, Interval]:
    """Return every metric of `METRICS` with its interval, over the same resamples."""
    order = np.argsort(p, kind="stable")
    y, p = y[order], p[order]
    values = {name: metric(y, p, np.ones((1, len(y))))[0] for name, metric in METRICS.items()}
    draws: dict[str, list[Array]] = {name: [] for name in METRICS}
    for weights in resamples.weights(order):
        for name, metric in METRICS.items():
            draws[name].append(metric(y, p, weights))
    return {name: _interval(float(values[name]), draws[name]) for name in METRICS}


def metric_interval(
    metric: str | Weighted,
    labels: ArrayLike,
    p: ArrayLike,
    groups: Sequence[Any] | NDArray[Any],
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """Return a metric with its 95 % interval over resampled groups.

    `metric` is a name of `METRICS` or such a function; `labels`, `p` and `groups` have shape (n,).
    Resamples without both classes don't count for AUROC. No interval with fewer than two groups.
    """
    y, q, _ = checked(labels, p)
    function = METRICS[metric] if isinstance(metric, str) else metric
    drawn = Resamples(groups, resamples, seed)
    everything = np.arange(len(y))
    value = float(function(y, q, np.ones((1, len(y))))[0])
    return _interval(value, [function(y, q, w) for w in drawn.weights(everything)])


def paired_difference(
    labels: ArrayLike,
    p_a: ArrayLike,
    p_b: ArrayLike,
    groups: Sequence[Any] | NDArray[Any],
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """Return the log loss of A minus that of B over the same clips, with its 95 % interval.

    Both are scored on the same resampled groups, so that what makes a clip hard for both cancels.
    A and B differ where the interval leaves zero out; else they tie. Each pair stands for itself:
    no correction for the number of pairs compared.
    """
    y, a, _ = checked(labels, p_a)
    _, b, _ = checked(labels, p_b)
    return loss_difference(
        clip_losses(y, a) - clip_losses(y, b), Resamples(groups, resamples, seed)
    )


def loss_difference(differences: Array, resamples: Resamples) -> Interval:
    """Return the mean of each clip's difference in loss, with its interval."""
    if not len(differences):
        return Interval(None, None, None)
    drawn = [resamples.means(differences)] if resamples.size else []
    return _interval(float(differences.mean()), drawn)


def is_tie(difference: Interval) -> bool:
    """Tell whether nothing says that two matchers differ."""
    if difference.low is None or difference.high is None:
        return True
    return difference.low <= 0 <= difference.high


def _interval(value: float, draws: list[Array]) -> Interval:
    if np.isnan(value):
        return Interval(None, None, None)
    finite = np.concatenate(draws) if draws else np.empty(0)
    finite = finite[np.isfinite(finite)]
    if not len(finite):
        return Interval(value, None, None)
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(finite, [tail, 100 - tail])
    return Interval(value, float(low), float(high))
