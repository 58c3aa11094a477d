"""Resamples of whole groups, and the sums over them that metrics are made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiomatch.scoring.metrics import Array, ClipWeights

_CHUNK = 1 << 18  # weights held at once: 2 MB, whatever the number of clips
# Pairs of groups for each clip up to which their counts are cheaper than sorted clips, and groups
# up to which they take little memory (200 MB).
_PAIRS_A_CLIP, _MOST_GROUPS = 300, 5_000
_BLOCK = 256  # clips whose pairs are looked at one by one


class Resamples:
    """How often each group is drawn in each resample: the same draws for every matcher.

    They are `Weights` of the clips. A sum over clips is one over groups of the groups' sums, and
    the pairs that AUROC counts are one over pairs of groups, so that a resample does not look at
    clips again.
    """

    def __init__(self, groups: Sequence[Any] | NDArray[Any], resamples: int, seed: int) -> None:
        names, self.codes = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
        self.groups = len(names)
        self.size = resamples if self.groups > 1 else 0
        rng = np.random.default_rng(seed)
        self.counts = np.empty((self.size, self.groups), np.uint16)
        for row in self.counts:
            drawn = rng.integers(self.groups, size=self.groups)
            row[:] = np.bincount(drawn, minlength=self.groups)

    def total(self, values: Array) -> Array:
        """Return the sum of the drawn clips' `values` in each resample."""
        columns = values.reshape(len(values), -1).T  # (k, n)
        sums = [
            np.bincount(self.codes, weights=column, minlength=self.groups) for column in columns
        ]
        of_groups = np.stack(sums, axis=1)  # (groups, k)
        found = [np.empty((0, of_groups.shape[1])), *(c @ of_groups for c in self._chunks())]
        return np.concatenate(found).reshape(self.size, *values.shape[1:])

    def wins(self, y: Array, p: Array) -> Array:
        """Return the pairs of drawn clips that `p` orders rightly in each resample."""
        if self.groups <= _MOST_GROUPS and self.groups**2 <= _PAIRS_A_CLIP * len(y):
            pairs = pair_counts(y, p, self.codes, self.groups)
            found = [np.einsum("rg,rg->r", chunk @ pairs, chunk) for chunk in self._chunks()]
        else:
            order = np.argsort(p, kind="stable")
            y, p, codes = y[order], p[order], self.codes[order]
            found = [ClipWeights(chunk[:, codes]).wins(y, p) for chunk in self._chunks(len(y))]
        return np.concatenate([np.empty(0), *found])

    def _chunks(self, width: int = 0) -> Iterator[Array]:
        """Yield the counts as float64, (some resamples, groups), `width` columns at once."""
        step = max(1, _CHUNK // max(width, self.groups))
        for start in range(0, self.size, step):
            yield self.counts[start : start + step].astype(np.float64)


def pair_counts(y: Array, p: Array, codes: NDArray[np.int64], groups: int) -> Array:
    """Return how many pairs `p` orders rightly, shape (group of the 1, group of the 0).

    A pair that scores alike counts half. Clips are taken by rising score, in blocks that no tie
    crosses: within a block pair by pair, with those below by group.
    """
    order = np.argsort(p, kind="stable")
    y, p, codes = y[order], p[order], codes[order]
    first = np.flatnonzero(np.r_[True, p[1:] != p[:-1]])
    counts = np.zeros((groups, groups))
    below = np.zeros(groups)  # clips of class 0 under the block, by group
    for start, stop in _blocks(first, len(p)):
        ones, zeros = (start + np.flatnonzero(y[start:stop] == label) for label in (1, 0))
        of_ones, of_zeros = codes[ones], codes[zeros]
        rows, many = np.unique(of_ones, return_counts=True)
        zeros_by_group = np.bincount(of_zeros, minlength=groups)
        counts[rows] += many[:, None] * below
        if p[start] == p[stop - 1]:
            counts[rows] += many[:, None] * (zeros_by_group / 2)
        else:
            high, low = p[ones][:, None], p[zeros]
            won = (high > low) + 0.5 * (high == low)  # (ones, zeros)
            np.add.at(counts, (of_ones[:, None], of_zeros), won)
        below += zeros_by_group
    return counts


def _blocks(first: NDArray[np.int64], count: int) -> Iterator[tuple[int, int]]:
    """Cut the clips where a score begins, so that a block is one score or at most `_BLOCK` long."""
    start = 0
    for at, stop in zip(first, [*first[1:], count], strict=True):
        if at > start and stop - start > _BLOCK:
            yield start, int(at)
            start = int(at)
    if count:
        yield start, count
