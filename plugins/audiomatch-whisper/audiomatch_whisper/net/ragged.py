"""Sequences of unequal length laid end to end, without padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

import torch
from torch import Tensor


@dataclass(frozen=True)
class Group:
    """Neighbouring sequences of one length.

    Attributes:
        first: the number of the first.
        count: how many there are.
        rows: theirs in the flat tensor.
        length: of each.
    """

    first: int
    count: int
    rows: slice
    length: int


@dataclass(frozen=True)
class Ragged:
    """Sequences laid end to end: what works on each row alone sees no padding.

    Attributes:
        flat: (sum of lengths, d).
        lengths: of each sequence.
    """

    flat: Tensor
    lengths: tuple[int, ...]

    @classmethod
    def of(cls, *stacks: Tensor) -> Ragged:
        """Lay stacks of equally long sequences, each (n, length, d), end to end."""
        lengths = [length for n, length, _ in (x.shape for x in stacks) for _ in range(n)]
        return cls(joined([x.flatten(0, 1) for x in stacks]), tuple(lengths))

    def with_flat(self, flat: Tensor) -> Ragged:
        """Return other sequences of the same lengths."""
        return Ragged(flat, self.lengths)

    def sequences(self) -> tuple[Tensor, ...]:
        """Return each sequence, (length, d)."""
        parts: tuple[Tensor, ...] = self.flat.split(self.lengths)
        return parts

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """What shares a length and lies side by side."""
        return tuple(_groups(self.lengths))


def _groups(lengths: Sequence[int]) -> Iterator[Group]:
    first = row = 0
    for length, same in groupby(lengths):
        count = len(list(same))
        yield Group(first, count, slice(row, row + count * length), length)
        first, row = first + count, row + count * length


def split_groups(flat: Tensor, groups: Sequence[Group]) -> list[Tensor]:
    """Cut a flat tensor into its groups: (sum of lengths, d) to (count, length, d) of each."""
    parts = flat.split([group.count * group.length for group in groups])
    return [
        part.unflatten(0, (group.count, group.length))
        for part, group in zip(parts, groups, strict=True)
    ]


def joined(parts: Sequence[Tensor]) -> Tensor:
    """Lay tensors end to end; a single one is not copied."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))
