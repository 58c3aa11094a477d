"""Whisper's decoder (Radford et al., 2022) on prefix trees, with its keys and values kept.

The keys and values of a clip's encoder states are computed once for all its texts, and what its
texts begin with alike is read once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from audiomatch_torch import to_device
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from audiomatch_whisper.net.attention import KeysValues, attend, feed_forward, split_heads
from audiomatch_whisper.net.modules import Decoder
from audiomatch_whisper.net.prefix_tree import Grid, PrefixTree
from audiomatch_whisper.net.ragged import Group, Ragged, joined, split_groups


@dataclass(frozen=True)
class CrossAttentionCache:
    """The keys and values of some clips' encoder states, in each layer of the decoder.

    Attributes:
        layers: keys and values of each layer, each of shape (sum of states, d).
        groups: the clips, by the number of their states.
        bounds: when the sound of each clip begins and ends, in seconds, (clips, 2); None where
            nobody asked.
        sound_before: how many seconds of sound each clip has before each of its frames, 100 a
            second; empty where nobody asked.
        untrained: that of the network before it was trained; None where nobody asks it.
    """

    layers: tuple[KeysValues, ...]
    groups: tuple[Group, ...]
    bounds: NDArray[np.float64] | None = None
    sound_before: tuple[NDArray[np.float64], ...] = ()
    untrained: CrossAttentionCache | None = None

    @classmethod
    def of(cls, decoder: Decoder, states: Ragged) -> CrossAttentionCache:
        """Compute them from encoder states."""
        attends: list[Any] = [layer.encoder_attn for layer in decoder.layers]
        layers = tuple((one.k_proj(states.flat), one.v_proj(states.flat)) for one in attends)
        return cls(layers, states.groups)

    def clip(self, number: int) -> CrossAttentionCache:
        """Return that of one clip."""
        group = next(g for g in self.groups if number < g.first + g.count)
        start = group.rows.start + (number - group.first) * group.length
        rows = slice(start, start + group.length)
        alone = Group(0, 1, slice(0, group.length), group.length)
        own = tuple((key[rows], value[rows]) for key, value in self.layers)
        return CrossAttentionCache(own, (alone,))


class Follow(NamedTuple):
    """Heads of a layer whose attention to the encoder's states is asked for.

    Attributes:
        heads: their numbers.
        take: called with it.
    """

    heads: Sequence[int]
    take: Callable[[Tensor], None]


@dataclass
class SelfAttentionCache:
    """The keys and values of the tokens that the decoder has read, for decoding step by step.

    Attributes:
        layers: those of each layer, (n, heads, tokens, d / heads).
        tokens: how many were read of each sequence.
    """

    layers: dict[int, KeysValues] = field(default_factory=dict)
    tokens: int = 0


def decode(
    decoder: Decoder,
    tree: PrefixTree,
    cache: CrossAttentionCache,
    past: SelfAttentionCache | None = None,
    follow: Mapping[int, Follow] | None = None,
) -> Tensor:
    """Run the decoder: hidden states of every node, (nodes, d).

    Args:
        decoder: of a Whisper.
        tree: prompts and texts.
        cache: of the clips that they are read against.
        past: what was read before, and to which this is added: from then on a token at a time.
        follow: of each layer that is asked, which of its heads, and what is called with their
            attention to the encoder's states, (nodes, heads, s) with s of the longest clip, 0
            after a clip's own, without gradients.
    """
    x = decoder.embed_tokens(tree.ids) + decoder.embed_positions.weight[tree.depths]
    x = functional.dropout(x, decoder.dropout, decoder.training)
    crossings = _crossings(tree, cache.groups)
    layer: Any
    for i, layer in enumerate(decoder.layers):
        drop = layer.dropout if layer.training else 0.0
        known = past.layers.get(i) if past is not None else None
        query = layer.self_attn_layer_norm(x)
        own, kept = _self_attention(layer.self_attn, query, tree, known)
        if past is not None:
            past.layers[i] = kept
        x = x + functional.dropout(own, drop)
        query = layer.encoder_attn_layer_norm(x)
        asked = None if follow is None else follow.get(i)
        heard = _cross_attention(
            layer.encoder_attn, query, cache.layers[i], cache.groups, crossings, asked
        )
        x = feed_forward(layer, x + functional.dropout(heard, drop))
    if past is not None:
        past.tokens += tree.paths.shape[1]
    out: Tensor = decoder.layer_norm(x)
    return out


def _self_attention(
    layer: Any, x: Tensor, tree: PrefixTree, known: KeysValues | None
) -> tuple[Tensor, KeysValues]:
    """Let each node attend to those on its path: (nodes, d), with the keys and values."""
    query, key, value = (
        split_heads(tree.bundles.spread(project(x)), layer.num_heads)
        for project in (layer.q_proj, layer.k_proj, layer.v_proj)
    )
    visible: Tensor | None = tree.visible
    if known is not None:
        if tree.paths.shape[1] > 1:
            raise ValueError("after the first, tokens are read one at a time")
        key, value = torch.cat([known[0], key], 2), torch.cat([known[1], value], 2)
        visible = None
    out = tree.bundles.collect(attend(layer, query, key, value, visible))
    return layer.out_proj(out), (key, value)


def _cross_attention(
    layer: Any,
    x: Tensor,
    known: KeysValues,
    groups: Sequence[Group],
    crossings: Sequence[_Crossing],
    asked: Follow | None,
) -> Tensor:
    """Let each node attend to its clip's states: (nodes, d)."""
    query = layer.q_proj(x)
    parts, weights = [], []
    keys, values = (split_groups(states.to(query.dtype), groups) for states in known)
    queries = query.split([crossing.nodes for crossing in crossings])
    for (group, _, grid), nodes in zip(crossings, queries, strict=True):
        own, key, value = (
            split_heads(x, layer.num_heads)  # (clips, heads, nodes or states, d / heads)
            for x in (grid.spread(nodes), keys[group], values[group])
        )
        if asked is not None:
            looks, seen = (torch.stack([x[:, i] for i in asked.heads], 1) for x in (own, key))
            weights.append(grid.collect(_attention(looks, seen, layer.head_dim)))
        parts.append(grid.collect(attend(layer, own, key, value)))
    if asked is not None:
        longest = max(one.shape[-1] for one in weights)
        asked.take(
            torch.cat([functional.pad(one, (0, longest - one.shape[-1])) for one in weights])
        )
    out: Tensor = layer.out_proj(joined(parts))
    return out


@torch.no_grad()
def _attention(query: Tensor, key: Tensor, width: int) -> Tensor:
    """Return how much each query attends to each key: (clips, queries, heads, keys)."""
    scores = query @ key.transpose(2, 3) * width**-0.5  # (clips, heads, queries, keys)
    weights: Tensor = scores.softmax(-1)
    return weights.transpose(1, 2)


class _Crossing(NamedTuple):
    """A group of clips of one length, and the nodes of each that attend to it.

    Attributes:
        group: its number.
        nodes: how many there are.
        grid: those of each clip.
    """

    group: int
    nodes: int
    grid: Grid


def _crossings(tree: PrefixTree, groups: Sequence[Group]) -> tuple[_Crossing, ...]:
    """Pair the nodes with the clips that they are read against; groups without any are left out."""
    clips = sum(group.count for group in groups)
    if len(tree.counts) > clips:
        raise ValueError(f"texts for {len(tree.counts)} clips, of which there are {clips}")
    counts = np.pad(tree.counts, (0, clips - len(tree.counts)))
    out = []
    for number, group in enumerate(groups):
        own = counts[group.first : group.first + group.count]
        if own.any():
            out.append(_Crossing(number, int(own.sum()), Grid.of(own)))
    return to_device(tuple(out), tree.ids.device)
