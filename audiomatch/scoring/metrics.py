"""The scores of one matcher on some clips, each with the influence of every clip on it.

An influence is how far a clip moves the score, times the number of clips; it has mean 0. The
intervals are made of it, see `audiomatch.scoring.clusters`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit, xlogy
from scipy.stats import rankdata

from audiomatch.calibration import logits_of, offset_to
from audiomatch.decisions import least_threshold

Array = NDArray[np.float64]

CLIP = 1e-15
PRECISION = 0.95
# Nats that probabilities so little spread could gain over their mean, were they right.
NOTHING = 0.0005


class Estimate(NamedTuple):
    """A score (None where it is not defined) and the influence of each clip on it, (n,)."""

    value: float | None
    influence: Array = np.empty(0)


Metric = Callable[[Array, Array, NDArray[np.int64]], Estimate]


def log_loss(labels: ArrayLike, p: ArrayLike) -> float | None:
    """Return the mean binary cross-entropy in nats, in float64.

    Probabilities are clipped to [1e-15, 1 - 1e-15]. `labels` are 0 or 1, `p` is P(1), both of shape
    (n,). None without clips. Raises `ValueError` for other shapes and values.
    """
    return _single(_log_loss, labels, p)


def skill(labels: ArrayLike, p: ArrayLike) -> float | None:
    """Return 1 - log loss / that of the share of 1s among the same labels.

    0 is what the best constant has, 1 is perfect (McFadden, 1974, "Conditional logit analysis of
    qualitative choice behavior"). None where one class is missing. Arguments as in `log_loss`.
    """
    return _single(_skill, labels, p)


def auroc(labels: ArrayLike, p: ArrayLike, folds: ArrayLike | None = None) -> float | None:
    """Return the probability that a random 1 scores above a random 0, a tie counting half.

    With `folds` (n,) only pairs of one fold count, each alike: the models of two folds have scales
    of their own. None without such a pair. Other arguments as in `log_loss`.
    """
    return _single(_auroc, labels, p, folds)


def brier(labels: ArrayLike, p: ArrayLike) -> float | None:
    """Return the mean squared difference between probability and label (Brier, 1950).

    None without clips. Arguments as in `log_loss`.
    """
    return _single(_brier, labels, p)


def recall_at_precision(labels: ArrayLike, p: ArrayLike) -> float | None:
    """Return the largest share of 1s that a threshold finds while 95 % of what it takes are 1s.

    0 where no threshold does. None without a 1. Arguments as in `log_loss`.
    """
    y, q = checked(labels, p)
    if not y.sum():
        return None
    threshold = least_threshold(q, y == 1, PRECISION)
    return 0.0 if threshold is None else float(y[q >= threshold].sum() / y.sum())


def says_nothing(p: Array) -> bool:
    """Tell whether probabilities differ so little that they are as good as a base rate.

    Were each of them right, they would gain less than 0.0005 nats a clip over their mean.
    """
    return bool(_entropy(p.mean()) - _entropy(p).mean() < NOTHING) if len(p) else False


def clip_losses(y: Array, p: Array) -> Array:
    """Return each clip's log loss in nats, shape (n,)."""
    p = np.clip(p, CLIP, 1 - CLIP)
    return np.asarray(-np.where(y == 1, np.log(p), np.log1p(-p)), np.float64)


def checked(labels: ArrayLike, p: ArrayLike) -> tuple[Array, Array]:
    """Return labels and probabilities as float64; raises `ValueError` for bad ones."""
    y, q = np.asarray(labels, np.float64), np.asarray(p, np.float64)
    if y.ndim != 1 or q.shape != y.shape:
        raise ValueError(f"labels {y.shape}, p {q.shape}: must be (n,), alike")
    if not np.isin(y, (0, 1)).all():
        raise ValueError("labels must be 0 or 1")
    if not ((q >= 0) & (q <= 1)).all():
        raise ValueError("probabilities must be finite and in [0, 1]")
    return y, q


def _log_loss(y: Array, p: Array, _folds: NDArray[np.int64]) -> Estimate:
    return _mean(clip_losses(y, p))


def _brier(y: Array, p: Array, _folds: NDArray[np.int64]) -> Estimate:
    return _mean((p - y) ** 2)


def _skill(y: Array, p: Array, _folds: NDArray[np.int64]) -> Estimate:
    share = float(y.mean()) if len(y) else 0.0
    if not 0 < share < 1:
        return Estimate(None)
    losses, base = clip_losses(y, p), float(_entropy(share))
    ratio = float(losses.mean()) / base
    moves = -float(logit(share)) * (y - share)  # the base rate's loss by each label
    return Estimate(1 - ratio, -(losses - losses.mean() - ratio * moves) / base)


def _auroc(y: Array, p: Array, folds: NDArray[np.int64]) -> Estimate:
    wins, pairs = np.zeros(len(y)), np.zeros(len(y))  # of each clip, over those of the other class
    for fold in np.unique(folds):
        for label in (0, 1):
            own = np.flatnonzero((folds == fold) & (y == label))
            both = np.flatnonzero(folds == fold)
            below = rankdata(p[both])[y[both] == label] - rankdata(p[own])
            pairs[own] = len(both) - len(own)
            wins[own] = below if label else pairs[own] - below
    total = pairs.sum() / 2
    if not total:
        return Estimate(None)
    area = float(wins.sum() / 2 / total)
    return Estimate(area, len(y) * (wins - area * pairs) / total)


def _intercept(y: Array, p: Array, _folds: NDArray[np.int64]) -> Estimate:
    z, share = logits_of(p, CLIP), float(y.mean()) if len(y) else 0.0
    if not 0 < share < 1:
        return Estimate(None)
    offset = offset_to(share, z)
    right = expit(z + offset)
    information = max(float(np.mean(right * (1 - right))), CLIP)
    return Estimate(offset, (y - right) / information)


def _slope(y: Array, p: Array, _folds: NDArray[np.int64]) -> Estimate:
    z = logits_of(p, CLIP)
    scale = float(z.std()) if len(z) else 0.0
    if scale < 1e-6 or not 0 < y.mean() < 1 or _apart(y, z):
        return Estimate(None)
    x = np.stack([np.ones(len(z)), (z - z.mean()) / scale], axis=1)  # (n, 2)
    fitted = minimize(
        lambda at: (
            float(np.mean(np.logaddexp(0, x @ at) - y * (x @ at))),
            x.T @ (expit(x @ at) - y) / len(y),
        ),
        np.zeros(2),
        jac=True,
        method="BFGS",
    )
    right = expit(x @ fitted.x)
    information = x.T @ (x * (right * (1 - right))[:, None]) / len(y)
    if np.linalg.cond(information) > 1 / CLIP:
        return Estimate(None)
    influence = (x * (y - right)[:, None]) @ np.linalg.inv(information)[:, 1]
    return Estimate(float(fitted.x[1]) / scale, influence / scale)


METRICS: dict[str, Metric] = {
    "log_loss": _log_loss,
    "skill": _skill,
    "auroc": _auroc,
    "brier": _brier,
    "calibration_slope": _slope,
    "calibration_intercept": _intercept,
}
BOUNDS = {"log_loss": (0.0, np.inf), "skill": (-np.inf, 1.0), "brier": (0.0, 1.0)}


def _mean(values: Array) -> Estimate:
    return Estimate(float(values.mean()), values - values.mean()) if len(values) else Estimate(None)


def _apart(y: Array, z: Array) -> bool:
    """Tell whether a threshold parts the classes, so that no slope is steep enough."""
    ones, zeros = z[y == 1], z[y == 0]
    return bool(ones.min() >= zeros.max() or ones.max() <= zeros.min())


def _entropy(p: ArrayLike) -> Array:
    """Return the log loss that a right probability has on average, in nats."""
    q = np.asarray(p, np.float64)
    return np.asarray(-xlogy(q, q) - xlogy(1 - q, 1 - q))


def _single(
    metric: Metric, labels: ArrayLike, p: ArrayLike, folds: ArrayLike | None = None
) -> float | None:
    y, q = checked(labels, p)
    return metric(y, q, fold_codes(folds, len(y))).value


def fold_codes(folds: ArrayLike | None, n: int) -> NDArray[np.int64]:
    """Return the fold of each of n clips, numbered; one fold where there are none."""
    if folds is None:
        return np.zeros(n, np.int64)
    return np.unique(np.asarray(folds), return_inverse=True)[1].astype(np.int64)
