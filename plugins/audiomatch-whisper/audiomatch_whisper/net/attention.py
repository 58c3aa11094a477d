"""Multi-head attention as Whisper's layers do it, with transformers' own weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

KeysValues = tuple[Tensor, Tensor]

# Measured (benchmarks/results/whisper.md): 1.5 to 1.8 times up to 600 states, 0.8 at 1500.
PLAIN_STATES = 1000


def split_heads(x: Tensor, heads: int) -> Tensor:
    """Split the last dimension: (n, t, d) to (n, heads, t, d / heads)."""
    out: Tensor = x.unflatten(-1, (heads, -1)).transpose(1, 2)
    return out


def attend(
    layer: Any, query: Tensor, key: Tensor, value: Tensor, visible: Tensor | None = None
) -> Tensor:
    """Attend with heads of (n, heads, t, d / heads): (n, t, d), before the output projection.

    In bfloat16 a CPU multiplies faster than its fused attention does, up to some length.

    Args:
        layer: a `WhisperAttention`.
        query: of t positions.
        key: of s positions.
        value: of s positions.
        visible: which of s each of t attends to, (n, 1, t, s); all of them where None.
    """
    out: Tensor
    plain = query.device.type == "cpu" and query.dtype == torch.bfloat16
    if plain and not query.requires_grad and query.shape[2] <= PLAIN_STATES:
        scores = (query * layer.head_dim**-0.5) @ key.transpose(2, 3)  # (n, heads, t, s)
        if visible is not None:
            scores = scores.masked_fill(~visible, -torch.inf)
        out = scores.softmax(-1) @ value
    else:
        drop = layer.dropout if layer.training else 0.0
        out = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=visible, dropout_p=drop
        )
    return out.transpose(1, 2).flatten(2)


def feed_forward(layer: Any, x: Tensor) -> Tensor:
    """Run the feed-forward block of an encoder or decoder layer on (positions, d)."""
    hidden = layer.activation_fn(layer.fc1(layer.final_layer_norm(x)))
    hidden = functional.dropout(hidden, layer.activation_dropout, layer.training)
    return x + functional.dropout(layer.fc2(hidden), layer.dropout, layer.training)
