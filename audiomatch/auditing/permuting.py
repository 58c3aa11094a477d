"""Labels as they might have been: permuted as their groups allow."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int64]


def permuted(labels: NDArray[np.int8], groups: Codes, rng: np.random.Generator) -> NDArray[np.int8]:
    """Return the labels in an order that keeps as alike within groups as they are.

    Groups of like size (within a factor of two) exchange their labels as whole blocks, and the
    labels of a block are shuffled (Winkler et al., 2015, "Multi-level block permutation"). Among
    groups of one size that is exact; where sizes differ a block may run over into the next group.
    `groups` are numbered from 0.
    """
    sizes = np.bincount(groups)
    stratum = np.floor(np.log2(np.maximum(sizes, 1)))[groups]
    shuffled = rng.permutation(len(labels))
    donors = shuffled[np.argsort((stratum + rng.random(len(sizes))[groups])[shuffled])]
    receivers = np.argsort(stratum + rng.random(len(sizes))[groups], kind="stable")
    found = np.empty_like(labels)
    found[receivers] = labels[donors]
    return found


class Permutations:
    """Permuted labels in pieces of shape (n, size), made when asked for and kept."""

    def __init__(
        self, labels: NDArray[np.int8], groups: Codes, count: int, size: int, seed: int
    ) -> None:
        """Take the labels and groups of `permuted`, and how many permutations there may be."""
        self._labels, self._groups = labels, groups
        self._rng = np.random.default_rng(seed)
        self._pieces: list[NDArray[np.float32]] = []
        self._count, self._size = count, size

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        """Give the pieces, the same each time."""
        for piece in range(-(-self._count // self._size)):
            if piece == len(self._pieces):
                self._pieces.append(self._piece())
            yield self._pieces[piece]

    def _piece(self) -> NDArray[np.float32]:
        columns = [permuted(self._labels, self._groups, self._rng) for _ in range(self._size)]
        return np.stack(columns, axis=1).astype(np.float32)
