"""Log loss, AUROC, Brier score and calibration error, with optional weights.

Each metric is written once, over `Weights` that stand for any number of resamples, so that a
bootstrap is a weighted recomputation; the public functions are the case of one weighting.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

CLIP = 1e-15
CALIBRATION_BINS = 15


class Weights(Protocol):
    """The weights of n clips in each of r resamples, by the sums that metrics are made of."""

    def total(self, values: Array) -> Array:
        """Return the weighted sum of `values`, (n,) or (n, k), in each resample: (r,) or (r, k)."""
        ...

    def wins(self, y: Array, p: Array) -> Array:
        """Return the weight of the pairs of a 1 and a 0 whose 1 scores higher, (r,).

        A pair weighs the product of its clips' weights, and half of that where they score alike.
        """
        ...


Metric = Callable[[Array, Array, Weights], Array]


class ClipWeights:
    """Weights of single clips: shape (r, n)."""

    def __init__(self, weights: Array) -> None:
        self._w = weights

    def total(self, values: Array) -> Array:
        """Return the weighted sums; see `Weights`."""
        return np.asarray(self._w @ values, np.float64)

    def wins(self, y: Array, p: Array) -> Array:
        """Return the area under the weighted step curve (Mann-Whitney); see `Weights`."""
        if not len(p):
            return np.zeros(len(self._w))
        w = self._w
        if np.any(p[1:] < p[:-1]):
            order = np.argsort(p, kind="stable")
            y, p, w = y[order], p[order], w[:, order]
        positive = w * y
        negative = w - positive
        ties = np.flatnonzero(np.r_[True, p[1:] != p[:-1]])
        if len(ties) < len(p):
            positive = np.add.reduceat(positive, ties, axis=1)
            negative = np.add.reduceat(negative, ties, axis=1)
        below = np.cumsum(negative, axis=1) - negative / 2
        return np.asarray(np.einsum("rn,rn->r", positive, below), np.float64)


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


def weighted_log_loss(y: Array, p: Array, w: Weights) -> Array:
    """Return the log loss in each resample, shape (r,)."""
    return mean(clip_losses(y, p), w)


def weighted_brier(y: Array, p: Array, w: Weights) -> Array:
    """Return the Brier score in each resample, shape (r,)."""
    return mean((p - y) ** 2, w)


def weighted_calibration_error(y: Array, p: Array, w: Weights) -> Array:
    """Return the calibration error in each resample, shape (r,)."""
    gaps = np.zeros((len(y), CALIBRATION_BINS))
    gaps[np.arange(len(y)), calibration_bin(p)] = y - p
    return _ratio(np.abs(w.total(gaps)).sum(axis=1), w.total(np.ones(len(y))))


def weighted_auroc(y: Array, p: Array, w: Weights) -> Array:
    """Return the AUROC in each resample, shape (r,); NaN without two classes."""
    return _ratio(w.wins(y, p), w.total(y) * w.total(1 - y))


METRICS: dict[str, Metric] = {
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


def mean(values: Array, w: Weights) -> Array:
    """Return the weighted mean of `values`, shape (n,), in each resample, shape (r,)."""
    return _ratio(w.total(values), w.total(np.ones(len(values))))


def _single(
    metric: Metric, labels: ArrayLike, p: ArrayLike, weights: ArrayLike | None
) -> float | None:
    y, q, w = checked(labels, p, weights)
    value = float(metric(y, q, ClipWeights(w[None]))[0])
    return None if np.isnan(value) else value


def _ratio(numerator: Array, denominator: Array) -> Array:
    out = np.full(denominator.shape, np.nan)
    np.divide(numerator, denominator, out=out, where=denominator > 0)
    return out
