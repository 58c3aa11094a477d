"""Thresholds on P(match): where a match, or a mismatch, may be said."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def least_threshold(scores: Array, right: NDArray[np.bool_], precision: float) -> float | None:
    """Return the least score from which on a share of at least `precision` is right.

    Both have shape (n,). None where no score does.
    """
    order = np.argsort(-scores, kind="stable")
    share = np.cumsum(right[order]) / np.arange(1, len(scores) + 1)
    ends = np.append(np.diff(scores[order]) != 0, True)[: len(scores)]  # equal ones on one side
    good = np.flatnonzero(ends & (share >= precision))
    return float(scores[order[good[-1]]]) if good.size else None


def two_thresholds(p_match: Array, labels: NDArray[np.generic], precision: float) -> Array:
    """Return up to where a mismatch is said and from where on a match: shape (2,).

    They leave the fewest clips between them while both verdicts have at least `precision`. A
    verdict that reaches it nowhere is said at P(match) 0 or 1 alone. Where one threshold serves
    both verdicts, none is left between.
    """
    found = least_threshold(p_match, labels == 1, precision)
    match = 1.0 if found is None else found
    found = least_threshold(-p_match, labels == 0, precision)
    mismatch = 0.0 if found is None else abs(found)
    if mismatch >= match:
        match = mismatch = min(max(0.5, match), mismatch)
    return np.array([mismatch, match])


def threshold_missing(p_match: Array, labels: NDArray[np.generic], misses: float) -> float | None:
    """Return the greatest threshold under which at most a share `misses` of the matches is."""
    matches = np.sort(p_match[labels == 1])
    return float(matches[int(misses * len(matches) + 1e-9)]) if len(matches) else None
