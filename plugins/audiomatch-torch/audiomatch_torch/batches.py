"""Batches by length.

Rows share a forward pass where their padded lengths are equal, so that no clip's numbers depend on
its batch mates; matchers round lengths up to a coarse step before they come here. A matcher that
computes each row at its own length, whatever the others', takes mixed lengths.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
Lengths = NDArray[np.float64]


def chunks(
    rows: Rows, lengths: Lengths, capacity: float = np.inf, mixed: bool = False
) -> list[Rows]:
    """Cut `rows` into pieces of one length each, or mixed, at most `capacity` long in sum.

    `lengths` holds the padded length of every row of the data set, in any unit. The longest pieces
    come first, so that memory runs out at the start or not at all. A piece has at least one row.
    """
    own = lengths[rows]
    if mixed:
        return _mixed(rows[np.argsort(-own, kind="stable")], lengths, capacity)
    pieces: list[Rows] = []
    for length in np.unique(own)[::-1]:
        same = rows[own == length]
        fit = len(same) if np.isinf(capacity) else max(1, int(capacity // max(length, 1e-9)))
        pieces.extend(same[start : start + fit] for start in range(0, len(same), fit))
    return pieces


def _mixed(rows: Rows, lengths: Lengths, capacity: float) -> list[Rows]:
    cuts, filled = [], 0.0
    for i, length in enumerate(lengths[rows]):
        if i and filled + length > capacity:
            cuts.append(i)
            filled = 0.0
        filled += length
    return np.split(rows, cuts) if len(rows) else []


def by_length(lengths: Lengths, batch_size: int, generator: np.random.Generator) -> list[Rows]:
    """Draw one epoch's batches: rows of like length together, ties and batches shuffled."""
    order = np.lexsort((generator.random(len(lengths)), lengths))
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    return [batches[i] for i in generator.permutation(len(batches))]


def shuffled(lengths: Lengths, batch_size: int, generator: np.random.Generator) -> list[Rows]:
    """Draw one epoch's batches without regard to length."""
    order = generator.permutation(len(lengths))
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
