"""Log loss, AUROC, Brier score and calibration error, with optional weights.

Each metric is written once, for a matrix of weights (a row a resample), so that a bootstrap is a
weighted recomputation; the public functions are the case of one row.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Weighted = Callable[[Array, Array, Array], Array]

CLIP = 1e-15
CALIBRATION_BINS = 15


def log_loss(labels: ArrayLike, p: ArrayLike, weights: ArrayLike | None = None) -> float | None:
    """Return the mean binary cross-entropy in nats, in float64.

    Probabilities are clipped to [1e-15, 1 - 1e-15]. `labels` are 0 or 1, `p` is P(1), `weights`
    are not negative; all of shape (n,). None without clips (or weight). Raises `ValueError` for
    other shapes and values.
    """
    return _single(weighted_log_loss, labels, p, weights)


def auroc(labels: ArrayLike, p: ArrayLike, weights: ArrayLike | None = None) -> float | None:
    """Return the probability that a random 1 scores above a random 0, a tie counting half.

    None where one class (or its weight) is missing. Arguments as in `log_loss`.
    """
    return _single(weighted_auroc, labels, p, weights)


def brier(labels: ArrayLike, p: ArrayLike, weights: ArrayLike | None = None) -> float | None:
    """Return the mean squared difference between probability and label (Brier, 1950).

    None without clips (or weight). Arguments as in `log_loss`.
    """
    return _single(weighted_brier, labels, p, weights)


def calibration_error(
    labels: ArrayLike, p: ArrayLike, weights: ArrayLike | None = None
) -> float | None:
    """Return the expected calibration error of P(1), over 15 bins of equal width.

    Sum over bins of the bin's share of clips times |mean label - mean probability| (Naeini et al.,
    2015, "Obtaining well calibrated probabilities using Bayesian binning"; Guo et al., 2017, "On
    calibration of modern neural networks", eq. 3, with 15 bins as there, but binning the
    probability of a match, not the confidence in the more likely class). Bin i holds
    [i/15, (i+1)/15), the last one 1 too. Biased upwards on few clips. None without clips (or
    weight). Arguments as in `log_loss`.
    """
    return _single(weighted_calibration_error, labels, p, weights)


def weighted_log_loss(y: Array, p: Array, w: Array) -> Array:
    """Return the log loss, shape (r,), for each row of the weights `w`, shape (r, n)."""
    return _mean(clip_losses(y, p), w)


def weighted_brier(y: Array, p: Array, w: Array) -> Array:
    """Return the Brier score, shape (r,), for each row of the weights `w`, shape (r, n)."""
    return _mean((p - y) ** 2, w)


def weighted_calibration_error(y: Array, p: Array, w: Array) -> Array:
    """Return the calibration error, shape (r,), for each row of `w`, shape (r, n)."""
    gaps = np.zeros((len(y), CALIBRATION_BINS))
    gaps[np.arange(len(y)), calibration_bin(p)] = y - p
    return _ratio(np.abs(w @ gaps).sum(axis=1), w.sum(axis=1))


def weighted_auroc(y: Array, p: Array, w: Array) -> Array:
    """Return the AUROC, shape (r,), for each row of `w`, shape (r, n); NaN without two classes.

    The area under the weighted step curve: each positive counts the weight of the negatives below
    it, and half of those level with it (Mann-Whitney).
    """
    if len(p) and np.any(p[1:] < p[:-1]):
        order = np.argsort(p, kind="stable")
        y, p, w = y[order], p[order], w[:, order]
    positive = w * y
    negative = w - positive
    ties = np.flatnonzero(np.r_[True, p[1:] != p[:-1]]) if len(p) else np.empty(0, np.int64)
    if len(ties) < len(p):
        positive = np.add.reduceat(positive, ties, axis=1)
        negative = np.add.reduceat(negative, ties, axis=1)
    below = np.cumsum(negative, axis=1) - negative / 2
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    return _ratio(np.einsum("rn,rn->r", positive, below), pairs)


METRICS: dict[str, Weighted] = {
    "log_loss": weighted_log_loss,
    "auroc": weighted_auroc,
    "brier": weighted_brier,
    "calibration_error": weighted_calibration_error,
}


def clip_losses(y: Array, p: Array) -> Array:
    """Return each clip's log loss in nats, shape (n,)."""
    p = np.clip(p, CLIP, 1 - CLIP)
    return np.asarray(-np.where(y == 1, np.log(p), np.log1p(-p)), np.float64)


def calibration_bin(p: Array) -> NDArray[np.int64]:
    """Return the calibration bin of each probability, 0 to 14."""
    return np.minimum((p * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)


def checked(
    labels: ArrayLike, p: ArrayLike, weights: ArrayLike | None = None
) -> tuple[Array, Array, Array]:
    """Return labels, probabilities and weights as float64; raises `ValueError` for bad ones."""
    y, q = np.asarray(labels, np.float64), np.asarray(p, np.float64)
    w = np.ones(len(y)) if weights is None else np.asarray(weights, np.float64)
    if y.ndim != 1 or q.shape != y.shape or w.shape != y.shape:
        raise ValueError(f"labels {y.shape}, p {q.shape}, weights {w.shape}: must be (n,), alike")
    if not np.isin(y, (0, 1)).all():
        raise ValueError("labels must be 0 or 1")
    if not ((q >= 0) & (q <= 1)).all():
        raise ValueError("probabilities must be finite and in [0, 1]")
    if not ((w >= 0) & np.isfinite(w)).all():
        raise ValueError("weights must be finite and not negative")
    return y, q, w


def _single(
    metric: Weighted, labels: ArrayLike, p: ArrayLike, weights: ArrayLike | None
) -> float | None:
    y, q, w = checked(labels, p, weights)
    value = float(metric(y, q, w[None])[0])
    return None if np.isnan(value) else value


def _mean(values: Array, w: Array) -> Array:
    return _ratio(w @ values, w.sum(axis=1))


def _ratio(numerator: Array, denominator: Array) -> Array:
    out = np.full(denominator.shape, np.nan)
    np.divide(numerator, denominator, out=out, where=denominator > 0)
    return out
