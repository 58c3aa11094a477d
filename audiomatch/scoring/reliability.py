"""The calibration error, without what chance alone adds to it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from audiomatch.scoring.clusters import CONFIDENCE, Array, Clusters, Interval, as_columns
from audiomatch.scoring.metrics import checked

CALIBRATION_BINS = 15
_DRAWS = 2000


class CalibrationError(NamedTuple):
    """The calibration error with its interval, and the most that chance alone gives."""

    error: Interval
    chance: float | None = None


def calibration_error(labels: ArrayLike, p: ArrayLike, groups: ArrayLike) -> CalibrationError:
    """Return how far probabilities are from the shares that they should be; see below.

    `labels`, `p` and `groups` have shape (n,). Raises `ValueError` for other shapes and values.
    """
    return error_of(*checked(labels, p), as_columns(groups))


def error_of(y: Array, p: Array, clusters: Clusters) -> CalibrationError:
    """Return the root mean square gap between P(1) and the share of 1s, over 15 equal bins.

    The plain figure is above 0 by chance alone. Here the square of a bin's gap is estimated by
    products of clips of *different* groups, which is unbiased, as in Kumar, Liang and Ma, 2019,
    "Verified uncertainty calibration", section 4 (there for single clips). A sum below 0 is 0.

    The interval holds each error from which the plain figure would not be surprising, the gaps
    being scaled alike. `chance` is the most that a calibrated matcher gets in 95 % of draws.
    """
    n = len(y)
    if not n:
        return CalibrationError(Interval(None))
    held = np.zeros((n, CALIBRATION_BINS))
    held[np.arange(n), calibration_bin(p)] = 1
    held = held[:, held.any(axis=0)]  # (n, bins that hold clips)
    excess = held * (y - p)[:, None]
    sizes, sums = held.sum(0), excess.sum(0)
    pairs = sizes**2 - clusters.squares(held)  # of clips of different groups
    products = sums**2 - clusters.squares(excess)
    squares = np.divide(products, pairs, out=np.zeros_like(pairs), where=pairs > 0)
    value = float(np.sqrt(max(0.0, float(sizes @ squares) / n)))
    if clusters.problem:
        return CalibrationError(Interval(value))
    # In coordinates whose squared length is the plain figure.
    to_length = np.sqrt(n / sizes)
    gaps = sums / n * to_length
    noise = _noise(clusters.covariance(excess) * np.outer(to_length, to_length), clusters.freedom)
    expected = (noise**2).sum(1).mean()
    by_chance = np.quantile((noise**2).sum(1), CONFIDENCE) - expected
    low, high = _ends(gaps, noise)
    interval = Interval(value, min(low, value), max(high, value))
    return CalibrationError(interval, float(np.sqrt(max(0.0, float(by_chance)))))


def calibration_bin(p: Array) -> NDArray[np.int64]:
    """Return the calibration bin of each probability: bin i of 15 holds [i/15, (i+1)/15)."""
    return np.minimum((p * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)


def _noise(covariance: Array, freedom: float) -> Array:
    """Return draws of a multivariate t distribution around 0, (draws, k)."""
    rng = np.random.default_rng(0)
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(values, 0))
    scale = np.sqrt(rng.chisquare(freedom, (_DRAWS, 1)) / freedom)
    return np.asarray(rng.normal(size=(_DRAWS, len(root))) @ root.T / scale)


def _ends(gaps: Array, noise: Array) -> tuple[float, float]:
    """Return the least and largest error s for which |s * direction + noise| may be |gaps|."""
    length = float(np.linalg.norm(gaps))
    direction = gaps / length if length else np.eye(len(gaps))[0]
    along, around = noise @ direction, (noise**2).sum(1)

    def excess(s: float, q: float) -> float:
        return float(np.quantile(s * s + 2 * s * along + around, q)) - length**2

    most = length + 3 * float(np.sqrt(around.max()))
    tail = (1 - CONFIDENCE) / 2
    ends = [
        0.0 if excess(0.0, q) >= 0 else float(brentq(excess, 0.0, most, args=(q,)))
        for q in (1 - tail, tail)
    ]
    return ends[0], ends[1]
