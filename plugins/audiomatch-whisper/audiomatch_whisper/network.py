"""Whisper's encoder and decoder (Radford et al., 2022), run without padding and without repeats.

The weights and modules are transformers' own, only the way through them is ours. Clips of any
length share a pass: what works on each position alone sees all of them laid end to end, attention
sees clips of one length together. The keys and values that the decoder makes of a clip are made
once for its texts, and what its texts begin with alike is read once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import WhisperForConditionalGeneration

from audiomatch_whisper.ragged import Crossing, Group, Ragged, Reading, crossings

Heads = tuple[Tensor, Tensor]

# Measured (benchmarks/results/whisper.md): 1.5 to 1.8 times up to 600 states, 0.8 at 1500.
PLAIN_STATES = 1000


def encode(model: WhisperForConditionalGeneration, mels: Sequence[Tensor]) -> Ragged:
    """Run the encoder on log-mel of any length up to 30 s.

    transformers' own `forward` takes exactly 30 s; on those it gives the same.

    Args:
        model: the Whisper.
        mels: clips of one length each, (n, mels, frames).

    Returns:
        The states of every clip, (frames/2, d) each.
    """
    return upper_layers(model, lower_layers(model, mels, 0), 0)


def lower_layers(
    model: WhisperForConditionalGeneration, mels: Sequence[Tensor], count: int
) -> Ragged:
    """Run the convolutions and the first `count` layers of the encoder; see `encode`."""
    encoder = model.model.encoder
    x = Ragged.of(*(_convolved(encoder, mel) for mel in mels))
    x = x.but(functional.dropout(x.flat, encoder.dropout, encoder.training))
    return _through(encoder.layers[:count], x)


def _convolved(encoder: Any, mel: Tensor) -> Tensor:
    x = functional.gelu(encoder.conv1(mel))
    x = functional.gelu(encoder.conv2(x)).transpose(1, 2)
    out: Tensor = x + encoder.embed_positions.weight[: x.shape[1]]
    return out


def upper_layers(model: WhisperForConditionalGeneration, x: Ragged, first: int) -> Ragged:
    """Run the encoder's layers from `first` on, and its last norm."""
    encoder = model.model.encoder
    x = _through(encoder.layers[first:], x)
    return x.but(encoder.layer_norm(x.flat))


def _through(layers: Iterable[nn.Module], states: Ragged) -> Ragged:
    x = states.flat
    for layer in layers:
        drop = layer.dropout if layer.training else 0.0
        own = _among_states(layer.self_attn, layer.self_attn_layer_norm(x), states.groups)
        x = _feed_forward(layer, x + functional.dropout(own, drop))
    return states.but(x)


def _feed_forward(layer: Any, x: Tensor) -> Tensor:
    hidden = layer.activation_fn(layer.fc1(layer.final_layer_norm(x)))
    hidden = functional.dropout(hidden, layer.activation_dropout, layer.training)
    return x + functional.dropout(layer.fc2(hidden), layer.dropout, layer.training)


@dataclass(frozen=True)
class Memory:
    """What the decoder looks at: each layer's keys and values of some clips' encoder states.

    Attributes:
        layers: keys and values of each layer, each of shape (sum of states, d).
        groups: the clips, by the number of their states.
    """

    layers: tuple[Heads, ...]
    groups: tuple[Group, ...]

    @classmethod
    def of(cls, model: WhisperForConditionalGeneration, states: Ragged) -> Memory:
        """Compute them from encoder states."""
        attend = [layer.encoder_attn for layer in model.model.decoder.layers]
        layers = tuple((a.k_proj(states.flat), a.v_proj(states.flat)) for a in attend)
        return cls(layers, states.groups)

    def clip(self, number: int) -> Memory:
        """Return that of one clip."""
        group = next(g for g in self.groups if number < g.first + g.count)
        start = group.rows.start + (number - group.first) * group.length
        rows = slice(start, start + group.length)
        alone = Group(0, 1, slice(0, group.length), group.length)
        return Memory(tuple((key[rows], value[rows]) for key, value in self.layers), (alone,))


@dataclass
class Past:
    """The keys and values of what the decoder has read so far, for reading on token by token."""

    layers: dict[int, Heads] = field(default_factory=dict)
    read: int = 0


def decode(
    model: WhisperForConditionalGeneration,
    reading: Reading,
    memory: Memory,
    past: Past | None = None,
    on_attention: Callable[[int, Tensor], None] | None = None,
) -> Tensor:
    """Run the decoder: hidden states of every node, (nodes, d).

    Args:
        model: the Whisper.
        reading: prompts and texts.
        memory: of the clips.
        past: what was read before, and to which this is added: from then on a token at a time.
        on_attention: called with each layer's number and its attention to the encoder's states,
            (clips, heads, nodes of a clip, s); the clips must be of one length.
    """
    decoder = model.model.decoder
    x = decoder.embed_tokens(reading.ids) + decoder.embed_positions.weight[reading.places]
    x = functional.dropout(x, decoder.dropout, decoder.training)
    across = crossings(reading, memory.groups)
    for i, layer in enumerate(decoder.layers):
        drop = layer.dropout if layer.training else 0.0
        known = past.layers.get(i) if past is not None else None
        query = layer.self_attn_layer_norm(x)
        own, kept = _among_nodes(layer.self_attn, query, reading, known)
        if past is not None:
            past.layers[i] = kept
        x = x + functional.dropout(own, drop)
        query = layer.encoder_attn_layer_norm(x)
        seen = None if on_attention is None else (lambda a, i=i: on_attention(i, a))
        heard = _to_clips(layer.encoder_attn, query, memory.layers[i], across, seen)
        x = _feed_forward(layer, x + functional.dropout(heard, drop))
    if past is not None:
        past.read += reading.path.shape[1]
    out: Tensor = decoder.layer_norm(x)
    return out


def _heads(x: Tensor, count: int) -> Tensor:
    """Split the last dimension: (n, t, d) to (n, heads, t, width)."""
    return x.unflatten(-1, (count, -1)).transpose(1, 2)


def _attention(
    attend: Any, query: Tensor, key: Tensor, value: Tensor, sees: Tensor | None = None
) -> Tensor:
    """Attend with heads of (n, heads, t, width): (n, t, d).

    In bfloat16 a CPU multiplies faster than its fused attention does, up to some length.
    """
    plain = query.device.type == "cpu" and query.dtype == torch.bfloat16
    if plain and not query.requires_grad and query.shape[2] <= PLAIN_STATES:
        scores = (query * attend.head_dim**-0.5) @ key.transpose(2, 3)
        if sees is not None:
            scores = scores.masked_fill(~sees, -torch.inf)
        out = scores.softmax(-1) @ value
    else:
        drop = attend.dropout if attend.training else 0.0
        out = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=sees, dropout_p=drop
        )
    return out.transpose(1, 2).flatten(2)


def _among_states(attend: Any, x: Tensor, groups: Sequence[Group]) -> Tensor:
    """Let each clip's states attend to one another: (sum of states, d)."""
    projected = (attend.q_proj(x), attend.k_proj(x), attend.v_proj(x))
    parts = []
    for group in groups:
        heads = (
            _heads(own[group.rows].unflatten(0, (group.count, group.length)), attend.num_heads)
            for own in projected
        )
        parts.append(_attention(attend, *heads).flatten(0, 1))
    out: Tensor = attend.out_proj(_joined(parts))
    return out


def _among_nodes(
    attend: Any, x: Tensor, reading: Reading, known: Heads | None
) -> tuple[Tensor, Heads]:
    """Let each node attend to those on its path: (nodes, d), with the keys and values."""
    query, key, value = (
        _heads(reading.bundles.spread(project(x)), attend.num_heads)
        for project in (attend.q_proj, attend.k_proj, attend.v_proj)
    )
    sees: Tensor | None = reading.sees
    if known is not None:
        if reading.path.shape[1] > 1:
            raise ValueError("after the first, tokens are read one at a time")
        key, value = torch.cat([known[0], key], 2), torch.cat([known[1], value], 2)
        sees = None
    out = reading.bundles.collect(_attention(attend, query, key, value, sees))
    return attend.out_proj(out), (key, value)


def _to_clips(
    attend: Any,
    x: Tensor,
    memory: Heads,
    across: Sequence[Crossing],
    seen: Callable[[Tensor], None] | None,
) -> Tensor:
    """Let each node attend to its clip's states: (nodes, d)."""
    query = attend.q_proj(x)
    parts, weights = [], []
    for clips, grid in across:
        own = _heads(grid.spread(query), attend.num_heads)
        key, value = (
            _heads(
                states[clips.rows].unflatten(0, (clips.count, clips.length)), attend.num_heads
            ).to(query.dtype)
            for states in memory
        )
        if seen is not None:
            scores = own @ key.transpose(2, 3) * attend.head_dim**-0.5
            weights.append(scores.softmax(-1))
        parts.append(grid.collect(_attention(attend, own, key, value)))
    if seen is not None:
        seen(torch.cat(weights))
    out: Tensor = attend.out_proj(_joined(parts))
    return out


def _joined(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))
