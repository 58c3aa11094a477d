"""Percentile intervals that resample whole groups.

Clips of one group (one text, one speaker) share what makes them easy or hard, so groups are drawn
with replacement, each with all its clips: the cluster bootstrap (Davison and Hinkley, 1997,
"Bootstrap methods and their application", section 3.8; Field and Welsh, 2007, "Bootstrapping
clustered data"), with percentile intervals (Efron and Tibshirani, 1993, chapter 13). Folds stay as
they are: the intervals hold the fitted models fixed. With few groups they are too narrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audiomatch.scoring.metrics import (
    METRICS,
    Array,
    ClipWeights,
    Metric,
    checked,
    clip_losses,
    mean,
)
from audiomatch.scoring.resamples import Resamples

CONFIDENCE = 0.95


class Interval(NamedTuple):
    """A value with its interval; `low` and `high` are None where there is no interval."""

    value: float | None
    low: float | None
    high: float | None


def metric_intervals(y: Array, p: Array, resamples: Resamples) -> dict[str, Interval]:
    """Return every metric of `METRICS` with its interval, over the same resamples."""
    return {name: _metric_interval(metric, y, p, resamples) for name, metric in METRICS.items()}


def metric_interval(
    metric: str | Metric,
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
    return _metric_interval(function, y, q, Resamples(groups, resamples, seed))


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
    return _interval(float(differences.mean()), mean(differences, resamples))


def is_tie(difference: Interval) -> bool:
    """Tell whether nothing says that two matchers differ."""
    if difference.low is None or difference.high is None:
        return True
    return difference.low <= 0 <= difference.high


def _metric_interval(metric: Metric, y: Array, p: Array, resamples: Resamples) -> Interval:
    value = float(metric(y, p, ClipWeights(np.ones((1, len(y)))))[0])
    return _interval(value, metric(y, p, resamples))


def _interval(value: float, draws: Array) -> Interval:
    if np.isnan(value):
        return Interval(None, None, None)
    finite = draws[np.isfinite(draws)]
    if not len(finite):
        return Interval(value, None, None)
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(finite, [tail, 100 - tail])
    return Interval(value, float(low), float(high))
