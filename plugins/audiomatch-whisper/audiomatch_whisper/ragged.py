"""Sequences of unequal length without padding, and texts that share what they begin with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# Nodes of a clip's texts that attend to each other in one piece, and one text more.
BUNDLE = 96


class Group(NamedTuple):
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
        flat = [x.flatten(0, 1) for x in stacks]
        return cls(flat[0] if len(flat) == 1 else torch.cat(flat), tuple(lengths))

    def but(self, flat: Tensor) -> Ragged:
        """Return sequences of the same lengths."""
        return Ragged(flat, self.lengths)

    def parts(self) -> tuple[Tensor, ...]:
        """Return each sequence, (length, d)."""
        return self.flat.split(self.lengths)

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


class Grid(NamedTuple):
    """Nodes in rows of equal length, for attention.

    Attributes:
        nodes: the nodes of each row, filled up with its last: (rows, most).
        back: where in that, flat, each node is; None where none is filled up.
    """

    nodes: Tensor
    back: Tensor | None

    @classmethod
    def of(cls, counts: NDArray[np.int64], first: int, device: torch.device) -> Grid:
        """Lay out neighbouring nodes, from `first` on, `counts` in each row."""
        column = np.arange(counts.max())
        starts = first + np.cumsum(counts) - counts
        last = np.maximum(starts + counts - 1, first)
        nodes = np.minimum(starts[:, None] + column, last[:, None])
        there = np.flatnonzero(column < counts[:, None])
        back = None if len(there) == nodes.size else torch.from_numpy(there).to(device)
        return cls(torch.from_numpy(nodes).to(device), back)

    def spread(self, x: Tensor) -> Tensor:
        """Lay out (nodes, d) as (rows, most, d)."""
        return x[self.nodes]

    def collect(self, x: Tensor) -> Tensor:
        """Undo `spread`."""
        flat = x.flatten(0, 1)
        return flat if self.back is None else flat[self.back]


@dataclass(frozen=True)
class Reading:
    """What a decoder reads of some texts: where two of a clip begin alike, that is read once.

    Each token that is read is a node, and a text is the path to its last one. Nodes see those on
    their path (tree attention: Miao et al., 2024, SpecInfer). Neighbouring texts of a clip are
    bundled; what is alike is read once a bundle.

    Attributes:
        ids: the token of each node, (nodes,); those of a bundle lie side by side.
        places: how many tokens come before it, (nodes,).
        path: the node of each token of each text, (n, most); the last one again where a text ends.
        bundles: the nodes of each bundle.
        sees: which nodes of its bundle each one attends to, (bundles, 1, most, most).
        counts: how many nodes each clip has.
    """

    ids: Tensor
    places: Tensor
    path: Tensor
    bundles: Grid
    sees: Tensor
    counts: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        texts: Sequence[Sequence[int]],
        device: torch.device,
        owner: NDArray[np.int64] | None = None,
    ) -> Reading:
        """Read texts, given as ids.

        `owner` is the clip that each is read against, rising; text i's is clip i where it is None.
        """
        clips = range(len(texts)) if owner is None else owner.tolist()
        ids: list[int] = []
        places: list[int] = []
        parents: list[int] = []
        starts: list[int] = []
        clip_of: list[int] = []
        path = np.empty((len(texts), max(map(len, texts))), dtype=np.int64)
        known: dict[tuple[int, int], int] = {}
        for i, (text, clip) in enumerate(zip(texts, clips, strict=True)):
            if not i or clip != clips[i - 1] or len(ids) - starts[-1] >= BUNDLE:
                known = {}
                starts.append(len(ids))
            node = -1
            for place, token in enumerate(text):
                parent, node = node, known.setdefault((node, token), len(ids))
                if node == len(ids):
                    ids.append(token)
                    places.append(place)
                    parents.append(parent)
                    clip_of.append(clip)
                path[i, place] = node
            path[i, len(text) :] = node
        sizes = np.diff([*starts, len(ids)])
        bundles = Grid.of(sizes, 0, device)
        sees = _ancestors(np.array(places), np.array(parents), sizes)
        return cls(
            *(torch.tensor(x, device=device) for x in (ids, places)),
            torch.from_numpy(path).to(device),
            bundles,
            torch.from_numpy(sees).to(device)[bundles.nodes][:, None],
            np.bincount(clip_of),
        )

    @classmethod
    def side_by_side(cls, ids: Tensor, start: int = 0) -> Reading:
        """Read each row of ids (n, t) against a clip of its own, after `start` tokens."""
        n, t = ids.shape
        nodes = torch.arange(n * t, device=ids.device).view(n, t)
        places = torch.arange(start, start + t, device=ids.device).repeat(n)
        sees = torch.ones(t, t, dtype=torch.bool, device=ids.device).tril().expand(n, 1, t, t)
        return cls(ids.flatten(), places, nodes, Grid(nodes, None), sees, np.full(n, t))


def _ancestors(
    places: NDArray[np.int64], parents: NDArray[np.int64], sizes: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Say for each node which of its bundle are on its path: (nodes, most), itself among them."""
    own = np.arange(len(places)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    out = np.zeros((len(places), int(sizes.max())), dtype=np.bool_)
    for place in range(int(places.max()) + 1):
        nodes = np.flatnonzero(places == place)
        if place:
            out[nodes] = out[parents[nodes]]
        out[nodes, own[nodes]] = True
    return out


class Crossing(NamedTuple):
    """Neighbouring clips of one length, and the nodes of each that look at it."""

    clips: Group
    grid: Grid


def crossings(reading: Reading, groups: Sequence[Group]) -> list[Crossing]:
    """Pair the nodes with the clips that they are read against; groups without any are left out."""
    clips = sum(group.count for group in groups)
    if len(reading.counts) > clips:
        raise ValueError(f"texts for {len(reading.counts)} clips, of which there are {clips}")
    counts = np.pad(reading.counts, (0, clips - len(reading.counts)))
    out, first = [], 0
    for group in groups:
        own = counts[group.first : group.first + group.count]
        if own.any():
            out.append(Crossing(group, Grid.of(own, first, reading.ids.device)))
        first += int(own.sum())
    return out
