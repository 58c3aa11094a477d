"""Whisper's encoder (Radford et al., 2022) on clips of any length, without padding.

What works on each position alone sees the clips laid end to end, attention sees clips of one length
together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from audiomatch_whisper.net.attention import attend, feed_forward, split_heads
from audiomatch_whisper.net.modules import Encoder
from audiomatch_whisper.net.ragged import Group, Ragged, joined, split_groups


def encode(encoder: Encoder, mels: Sequence[Tensor]) -> Ragged:
    """Run the encoder on log-mel of any length up to 30 s.

    transformers' own `forward` takes exactly 30 s; on those it gives the same.

    Args:
        encoder: of a Whisper.
        mels: clips of one length each, (n, mels, frames).

    Returns:
        The states of every clip, (frames / 2, d) each.
    """
    return encode_last_layers(encoder, encode_first_layers(encoder, mels, 0), 0)


def encode_first_layers(encoder: Encoder, mels: Sequence[Tensor], count: int) -> Ragged:
    """Run the convolutions and the first `count` layers; see `encode`."""
    x = Ragged.of(*(_convolve(encoder, mel) for mel in mels))
    x = x.with_flat(functional.dropout(x.flat, encoder.dropout, encoder.training))
    return _run_layers(encoder.layers[:count], x)


def encode_last_layers(encoder: Encoder, x: Ragged, first: int) -> Ragged:
    """Run the layers from `first` on, and the last norm."""
    x = _run_layers(encoder.layers[first:], x)
    return x.with_flat(encoder.layer_norm(x.flat))


def digest_of_first_layers(encoder: Encoder, count: int | None) -> str:
    """Return the SHA-256 of the weights that `encode_first_layers` runs; all of them where None."""
    whole = hashlib.sha256()
    for part in (encoder.conv1, encoder.conv2, encoder.embed_positions, *encoder.layers[:count]):
        for name, tensor in part.state_dict().items():
            whole.update(f"{name} {tuple(tensor.shape)}\0".encode())
            whole.update(tensor.detach().float().cpu().numpy())
    return whole.hexdigest()


def _convolve(encoder: Any, mel: Tensor) -> Tensor:
    x = functional.gelu(encoder.conv1(mel))  # (n, d, frames)
    x = functional.gelu(encoder.conv2(x)).transpose(1, 2)  # (n, frames / 2, d)
    out: Tensor = x + encoder.embed_positions.weight[: x.shape[1]]
    return out


def _run_layers(layers: Iterable[nn.Module], states: Ragged) -> Ragged:
    x = states.flat
    layer: Any
    for layer in layers:
        drop = layer.dropout if layer.training else 0.0
        own = _self_attention(layer.self_attn, layer.self_attn_layer_norm(x), states.groups)
        x = feed_forward(layer, x + functional.dropout(own, drop))
    return states.with_flat(x)


def _self_attention(layer: Any, x: Tensor, groups: Sequence[Group]) -> Tensor:
    """Let each clip's states attend to one another: (sum of states, d)."""
    projected = (layer.q_proj(x), layer.k_proj(x), layer.v_proj(x))
    parts = []
    for each in zip(*(split_groups(own, groups) for own in projected), strict=True):
        heads = (split_heads(own, layer.num_heads) for own in each)  # (n, heads, t, d / heads)
        parts.append(attend(layer, *heads).flatten(0, 1))
    out: Tensor = layer.out_proj(joined(parts))
    return out
