"""Whisper's encoder and decoder (Radford et al., 2022), run so that texts share a clip.

The weights and modules are transformers' own, only the way through them is ours: the encoder takes
any length, and the keys and values that the decoder makes of a clip are made once for its texts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from transformers import WhisperForConditionalGeneration

Heads = tuple[Tensor, Tensor]


def encode(model: WhisperForConditionalGeneration, mel: Tensor) -> Tensor:
    """Run the encoder on log-mel of any length up to 30 s: (n, mels, frames) to (n, frames/2, d).

    transformers' own `forward` takes exactly 30 s; on those it gives the same.
    """
    return upper_layers(model, lower_layers(model, mel, 0), 0)


def lower_layers(model: WhisperForConditionalGeneration, mel: Tensor, count: int) -> Tensor:
    """Run the convolutions and the first `count` layers of the encoder: (n, frames/2, d)."""
    encoder = model.model.encoder
    x = functional.gelu(encoder.conv1(mel))
    x = functional.gelu(encoder.conv2(x)).transpose(1, 2)
    x = x + encoder.embed_positions.weight[: x.shape[1]]
    x = functional.dropout(x, encoder.dropout, encoder.training)
    return _through(encoder.layers[:count], x)


def upper_layers(model: WhisperForConditionalGeneration, x: Tensor, first: int) -> Tensor:
    """Run the encoder's layers from `first` on, and its last norm."""
    encoder = model.model.encoder
    out: Tensor = encoder.layer_norm(_through(encoder.layers[first:], x))
    return out


def _through(layers: Iterable[nn.Module], x: Tensor) -> Tensor:
    for layer in layers:
        x = layer(x, None)
    return x


@dataclass(frozen=True)
class Memory:
    """What the decoder looks at: each layer's keys and values of some clips' encoder states.

    Attributes:
        layers: keys and values of each layer, each of shape (clips, heads, states, width).
    """

    layers: tuple[Heads, ...]

    @classmethod
    def of(cls, model: WhisperForConditionalGeneration, states: Tensor) -> Memory:
        """Compute them from encoder states (clips, s, d)."""
        attend = [layer.encoder_attn for layer in model.model.decoder.layers]
        return cls(
            tuple(
                (_heads(a.k_proj(states), a.num_heads), _heads(a.v_proj(states), a.num_heads))
                for a in attend
            )
        )

    def to(self, dtype: torch.dtype) -> Memory:
        """Return them in another number format."""
        return Memory(tuple((key.to(dtype), value.to(dtype)) for key, value in self.layers))


@dataclass
class Past:
    """The keys and values of what the decoder has read so far, for reading on token by token."""

    layers: dict[int, Heads] = field(default_factory=dict)
    read: int = 0


def decode(
    model: WhisperForConditionalGeneration,
    ids: Tensor,
    memory: Memory,
    owner: NDArray[np.int64] | None = None,
    past: Past | None = None,
    on_attention: Callable[[int, Tensor], None] | None = None,
) -> Tensor:
    """Run the decoder: ids (n, t) to hidden states (n, t, d).

    What pads the ids lies after them, where the causal mask hides it.

    Args:
        model: the Whisper.
        ids: prompts and texts.
        memory: of the clips.
        owner: which clip each row of `ids` is read against, rising; row i's is clip i where None.
        past: what was read before `ids`, and to which they are added.
        on_attention: called with each layer's number and its attention to the encoder's states,
            (n, heads, t, s).
    """
    decoder = model.model.decoder
    start = past.read if past is not None else 0
    x = decoder.embed_tokens(ids) + decoder.embed_positions.weight[start : start + ids.shape[1]]
    x = functional.dropout(x, decoder.dropout, decoder.training)
    runs = _runs(owner, len(memory.layers[0][0]), len(ids))
    for i, layer in enumerate(decoder.layers):
        drop = layer.dropout if layer.training else 0.0
        known = past.layers.get(i) if past is not None else None
        own, kept = _self_attention(layer.self_attn, layer.self_attn_layer_norm(x), known)
        if past is not None:
            past.layers[i] = kept
        x = x + functional.dropout(own, drop)
        query = layer.encoder_attn_layer_norm(x)
        seen = None if on_attention is None else (lambda a, i=i: on_attention(i, a))
        across = _cross_attention(layer.encoder_attn, query, memory.layers[i], runs, seen)
        x = x + functional.dropout(across, drop)
        hidden = layer.activation_fn(layer.fc1(layer.final_layer_norm(x)))
        hidden = functional.dropout(hidden, layer.activation_dropout, layer.training)
        x = x + functional.dropout(layer.fc2(hidden), drop)
    if past is not None:
        past.read += ids.shape[1]
    out: Tensor = decoder.layer_norm(x)
    return out


def _heads(x: Tensor, count: int) -> Tensor:
    """Split the last dimension: (n, t, d) to (n, heads, t, width)."""
    return x.view(*x.shape[:-1], count, -1).transpose(1, 2)


def _joined(attend: Any, x: Tensor) -> Tensor:
    out: Tensor = attend.out_proj(x.transpose(1, 2).flatten(2))
    return out


def _attention(attend: Any, query: Tensor, heads: Heads, causal: bool) -> Tensor:
    drop = attend.dropout if attend.training else 0.0
    return functional.scaled_dot_product_attention(query, *heads, dropout_p=drop, is_causal=causal)


def _self_attention(attend: Any, x: Tensor, known: Heads | None) -> tuple[Tensor, Heads]:
    query = _heads(attend.q_proj(x), attend.num_heads)
    heads = (
        _heads(attend.k_proj(x), attend.num_heads),
        _heads(attend.v_proj(x), attend.num_heads),
    )
    if known is not None:
        if x.shape[1] > 1:
            raise ValueError("after the first, tokens are read one at a time")
        heads = (torch.cat([known[0], heads[0]], 2), torch.cat([known[1], heads[1]], 2))
    return _joined(attend, _attention(attend, query, heads, known is None)), heads


def _cross_attention(
    attend: Any,
    x: Tensor,
    heads: Heads,
    runs: Sequence[_Run],
    seen: Callable[[Tensor], None] | None,
) -> Tensor:
    """Attend to the clips; texts of one clip are laid end to end, since nothing masks them."""
    query = _heads(attend.q_proj(x), attend.num_heads)
    parts, weights = [], []
    for run in runs:
        key, value = (own[run.clips] for own in heads)
        laid = query[run.texts]
        if run.side > 1:
            laid = laid.unflatten(0, (-1, run.side)).transpose(1, 2).flatten(2, 3)
        if seen is not None:
            scores = laid @ key.transpose(2, 3) * attend.head_dim**-0.5
            weights.append(_apart(scores.softmax(-1), run.side))
        parts.append(_apart(_attention(attend, laid, (key, value), False), run.side))
    if seen is not None:
        seen(torch.cat(weights))
    return _joined(attend, torch.cat(parts) if len(parts) > 1 else parts[0])


class _Run(NamedTuple):
    """Neighbouring clips that have as many texts each, and these."""

    clips: slice
    texts: slice
    side: int


def _runs(owner: NDArray[np.int64] | None, clips: int, texts: int) -> list[_Run]:
    """Cut clips and their texts into runs; clips without a text are in none."""
    if owner is None:
        if clips != texts:
            raise ValueError(f"{texts} texts for {clips} clips need an owner")
        return [_Run(slice(0, clips), slice(0, texts), 1)]
    counts = np.bincount(owner, minlength=clips)
    edges = [0, *(np.flatnonzero(np.diff(counts)) + 1), clips]
    ends = np.concatenate(([0], np.cumsum(counts)))
    return [
        _Run(slice(a, b), slice(int(ends[a]), int(ends[b])), int(counts[a]))
        for a, b in pairwise(int(edge) for edge in edges)
        if counts[a]
    ]


def _apart(x: Tensor, side: int) -> Tensor:
    """Undo what lays `side` texts end to end: (clips, heads, side·t, w) to (texts, heads, t, w)."""
    if side == 1:
        return x
    return x.unflatten(2, (side, -1)).transpose(1, 2).flatten(0, 1)
