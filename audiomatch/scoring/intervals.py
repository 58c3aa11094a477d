"""One score, or one difference, with its interval."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit

from audiomatch.scoring.clusters import Array, Clusters, Interval, as_columns, t_interval
from audiomatch.scoring.metrics import BOUNDS, METRICS, Metric, checked, fold_codes


def metric_interval(
    metric: str, labels: ArrayLike, p: ArrayLike, groups: Any, folds: ArrayLike | None = None
) -> Interval:
    """Return a metric, a name of `METRICS`, with its 95 % interval.

    `labels`, `p`, `groups` and `folds` have shape (n,); a tuple of columns stands for groups that
    cross. No interval with fewer than ten groups.
    """
    y, q = checked(labels, p)
    return bounded(metric, METRICS[metric], y, q, fold_codes(folds, len(y)), as_columns(groups))


def bounded(
    name: str, metric: Metric, y: Array, p: Array, folds: NDArray[np.int64], clusters: Clusters
) -> Interval:
    """Return a metric with its interval, inside the range that the metric has.

    That of AUROC is made in logits, in which it is nearly normal (Pepe, 2003, section 5.2.4).
    """
    value, influence = metric(y, p, folds)
    if value is None:
        return Interval(None)
    if name == "auroc":
        return share_interval(value, influence, clusters)
    found = t_interval(value, influence, clusters)
    if found.low is None or found.high is None:
        return found
    least, most = BOUNDS.get(name, (-np.inf, np.inf))
    return Interval(value, max(found.low, least), min(found.high, most))


def share_interval(value: float, influence: Array, clusters: Clusters) -> Interval:
    """Return a share with its interval, made in logits, in which it is nearly normal.

    None at 0 and at 1, where nothing varies.
    """
    if not 0 < value < 1:
        return Interval(value)
    found = t_interval(float(logit(value)), influence / (value * (1 - value)), clusters, 0.0)
    return Interval(value, *(None if end is None else float(expit(end)) for end in found[1:]))
