"""The texts of a clip as a prefix tree: what they begin with alike is decoded once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from audiomatch_torch import to_device
from numpy.typing import NDArray
from torch import Tensor

# Nodes of a clip's texts that attend to each other in one piece, and one text more.
BUNDLE = 96


class Grid(NamedTuple):
    """Nodes in rows of equal length, for attention.

    Attributes:
        nodes: the nodes of each row, filled up with its last: (rows, maximum).
        back: where in that, flat, each node is; None where none is filled up.
    """

    nodes: Tensor
    back: Tensor | None

    @classmethod
    def of(cls, counts: NDArray[np.int64]) -> Grid:
        """Lay out the nodes in their order, `counts` in each row."""
        column = np.arange(counts.max())
        starts = np.cumsum(counts) - counts
        last = np.maximum(starts + counts - 1, 0)
        nodes = np.minimum(starts[:, None] + column, last[:, None])
        there = np.flatnonzero(column < counts[:, None])
        back = None if len(there) == nodes.size else torch.from_numpy(there)
        return cls(torch.from_numpy(nodes), back)

    def spread(self, x: Tensor) -> Tensor:
        """Lay out (nodes, d) as (rows, maximum, d)."""
        return x.unflatten(0, self.nodes.shape) if self.back is None else x[self.nodes]

    def collect(self, x: Tensor) -> Tensor:
        """Undo `spread`: (rows, maximum, d) to (nodes, d)."""
        flat = x.flatten(0, 1)
        return flat if self.back is None else flat[self.back]


@dataclass(frozen=True)
class PrefixTree:
    """The token sequences of some clips; two of a clip that begin alike share their beginning.

    Each token that is read is a node, and a sequence is the path to its last one. Nodes attend to
    those on their path (tree attention: Miao et al., "SpecInfer", 2024). Neighbouring sequences of
    a clip are bundled; what is alike is read once a bundle.

    Attributes:
        ids: the token of each node, (nodes,); those of a bundle lie side by side.
        depths: how many tokens come before it, (nodes,).
        paths: the node of each token of each sequence, (n, maximum); the last one again where a
            sequence ends.
        bundles: the nodes of each bundle.
        visible: which nodes of its bundle each one attends to, (bundles, 1, maximum, maximum).
        counts: how many nodes each clip has.
    """

    ids: Tensor
    depths: Tensor
    paths: Tensor
    bundles: Grid
    visible: Tensor
    counts: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        sequences: Sequence[Sequence[int]],
        device: torch.device,
        owner: NDArray[np.int64] | None = None,
    ) -> PrefixTree:
        """Make the tree of sequences of ids.

        `owner` is the clip that each belongs to, rising; sequence i's is clip i where it is None.
        """
        clips = range(len(sequences)) if owner is None else owner.tolist()
        ids: list[int] = []
        depths: list[int] = []
        parents: list[int] = []
        starts: list[int] = []
        clip_of: list[int] = []
        paths = np.empty((len(sequences), max(map(len, sequences))), dtype=np.int64)
        known: dict[tuple[int, int], int] = {}
        for i, (sequence, clip) in enumerate(zip(sequences, clips, strict=True)):
            if not i or clip != clips[i - 1] or len(ids) - starts[-1] >= BUNDLE:
                known = {}
                starts.append(len(ids))
            node = -1
            for depth, token in enumerate(sequence):
                parent, node = node, known.setdefault((node, token), len(ids))
                if node == len(ids):
                    ids.append(token)
                    depths.append(depth)
                    parents.append(parent)
                    clip_of.append(clip)
                paths[i, depth] = node
            paths[i, len(sequence) :] = node
        sizes = np.diff([*starts, len(ids)])
        bundles = Grid.of(sizes)
        ancestors = torch.from_numpy(_ancestors(np.array(depths), np.array(parents), sizes))
        tree = cls(
            ids=torch.tensor(ids),
            depths=torch.tensor(depths),
            paths=torch.from_numpy(paths),
            bundles=bundles,
            # (nodes, maximum) to (bundles, maximum, maximum), one mask for all heads.
            visible=ancestors[bundles.nodes][:, None],
            counts=np.bincount(clip_of),
        )
        return to_device(tree, device)

    @classmethod
    def of_rows(cls, ids: Tensor, start: int = 0) -> PrefixTree:
        """Make the tree of one sequence a clip, ids (n, t), which follow `start` tokens."""
        n, t = ids.shape
        nodes = torch.arange(n * t, device=ids.device).view(n, t)
        visible = torch.ones(t, t, dtype=torch.bool, device=ids.device).tril()
        return cls(
            ids=ids.flatten(),
            depths=torch.arange(start, start + t, device=ids.device).repeat(n),
            paths=nodes,
            bundles=Grid(nodes, None),
            visible=visible.expand(n, 1, t, t),
            counts=np.full(n, t),
        )


def _ancestors(
    depths: NDArray[np.int64], parents: NDArray[np.int64], sizes: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Say for each node which of its bundle are on its path: (nodes, maximum), itself too."""
    own = np.arange(len(depths)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    out = np.zeros((len(depths), int(sizes.max())), dtype=np.bool_)
    for depth in range(int(depths.max()) + 1):
        nodes = np.flatnonzero(depths == depth)
        if depth:
            out[nodes] = out[parents[nodes]]
        out[nodes, own[nodes]] = True
    return out
