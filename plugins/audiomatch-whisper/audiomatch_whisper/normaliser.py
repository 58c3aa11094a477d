"""The softmax's normaliser over a vocabulary, without the logits of all of it at once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

# Logits that exist at one time, by rows and, on a CPU, by tokens: what its caches hold.
ROWS_AT_ONCE = 256
TOKENS_AT_ONCE = 2048


def log_normaliser(hidden: Tensor, matrix: Tensor) -> Tensor:
    """Return log Σ exp(matrix · hidden) of each row: float32 of shape (n,).

    Where the matrix is not trained, the logits are made, summed up and thrown away a few at a time,
    and the gradient Σ softmax · matrix is made on the way, of which only the upstream gradient is
    missing. Where it is trained, that would make all logits twice, at 1.5 to 2 times the cost on a
    CPU: there it is the plain log-sum-exp.

    Args:
        hidden: (n, d).
        matrix: the output matrix, (vocabulary, d); where it is bfloat16, the result is as exact as
            that.
    """
    if matrix.requires_grad and torch.is_grad_enabled():
        return functional.linear(hidden, matrix).float().logsumexp(1)
    function: Any = _LogNormaliser  # without types
    out: Tensor = function.apply(hidden, matrix)
    return out


class _LogNormaliser(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, matrix: Tensor) -> Tensor:
        kind = hidden.device.type
        # Autocast does not reach in here: do what it would.
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else matrix.dtype
        ctx.dtype = hidden.dtype
        hidden, matrix = hidden.to(dtype), matrix.to(dtype)
        with_slope = ctx.needs_input_grad[0]
        parts = [_of_rows(rows, matrix, with_slope) for rows in hidden.split(ROWS_AT_ONCE)]
        if with_slope:
            ctx.save_for_backward(torch.cat([slope for _, slope in parts]))
        return torch.cat([own for own, _ in parts])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        [slope] = ctx.saved_tensors
        return (grads[0][:, None] * slope).to(ctx.dtype), None


def _of_rows(hidden: Tensor, matrix: Tensor, with_slope: bool) -> tuple[Tensor, Tensor]:
    """Return log Σ exp and, where asked for, Σ softmax · matrix, a block of tokens at a time."""
    total = hidden.new_full((len(hidden),), -torch.inf, dtype=torch.float32)
    slope = torch.zeros(hidden.shape if with_slope else (0,), device=hidden.device)
    for block in _blocks(matrix):
        own, weights = _log_sum((hidden @ block.T).float())
        before, total = total, torch.logaddexp(total, own)
        if with_slope:
            of_block = weights.to(block.dtype) @ block
            slope = slope * (before - total).exp()[:, None]
            slope += of_block * (own - total).exp()[:, None]
    return total, slope


def _blocks(matrix: Tensor) -> tuple[Tensor, ...]:
    return matrix.split(TOKENS_AT_ONCE if matrix.device.type == "cpu" else len(matrix))


def _log_sum(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return log Σ exp of each row and its softmax.

    The largest logit's softmax says what the sum is: on a CPU, torch's softmax takes less than its
    exponential alone.
    """
    weights = logits.softmax(1)
    return logits.amax(1) - weights.amax(1).log(), weights


class FixedNormaliser:
    """`log_normaliser` of a matrix that is not trained, in numbers that a CPU is quick at.

    bfloat16 where a gradient is asked for; else, with `in_bytes`, bytes with a scale for each row
    of the matrix and each of the states. The errors are in benchmarks/results/whisper.md.
    """

    def __init__(self, matrix: Tensor, in_bytes: bool) -> None:
        matrix = matrix.detach()
        self._bf16 = matrix.bfloat16()
        self._bytes = _to_bytes(matrix) if in_bytes else None

    def __call__(self, hidden: Tensor) -> Tensor:
        """Return log Σ exp(matrix · hidden) of each row: float32 of shape (n,)."""
        if self._bytes is None or hidden.requires_grad:
            return log_normaliser(hidden, self._bf16)
        return torch.cat([self._of_bytes(rows) for rows in hidden.split(ROWS_AT_ONCE)])

    def _of_bytes(self, hidden: Tensor) -> Tensor:
        assert self._bytes is not None
        own, own_scale = _to_bytes(hidden)
        matrix, scale = self._bytes
        total = hidden.new_full((len(hidden),), -torch.inf, dtype=torch.float32)
        for block, of_block in zip(_blocks(matrix), scale[:, 0].split(TOKENS_AT_ONCE), strict=True):
            # The sums of own · block in 32 bits; torch has them under no public name.
            logits = torch._int_mm(own, block.T).float().mul_(of_block).mul_(own_scale)
            total = torch.logaddexp(total, _log_sum(logits)[0])
        return total


def _to_bytes(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return int8 (n, d) and a scale (n, 1) whose product is nearest to x."""
    x = x.float()
    scale = x.abs().amax(1, keepdim=True).clamp(min=1e-12) / 127
    return (x / scale).round().to(torch.int8), scale
