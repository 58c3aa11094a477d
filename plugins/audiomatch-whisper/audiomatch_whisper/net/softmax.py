"""The softmax over the vocabulary: of one token without the logits of all tokens at once.

The log probability of a token is its logit less the softmax's normaliser, log Σ exp of all logits.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, _int_mm, nn  # under no public name
from torch.nn import functional

# Logits that exist at one time, by rows and, on a CPU, by tokens: what its caches hold.
ROWS_AT_ONCE = 256
TOKENS_AT_ONCE = 2048


def vocabulary_log_p(output: nn.Linear, hidden: Tensor) -> Tensor:
    """Return the log probability of every token after each state: (…, vocabulary), float32."""
    logits: Tensor = output(hidden)
    return logits.float().log_softmax(-1)


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
        casts = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
        dtype = torch.get_autocast_dtype(kind) if casts else matrix.dtype
        ctx.dtype = hidden.dtype
        hidden, matrix = hidden.to(dtype), matrix.to(dtype)
        needed = ctx.needs_input_grad[0]
        parts = [_sum_blocks(rows, matrix, needed) for rows in hidden.split(ROWS_AT_ONCE)]
        if needed:
            ctx.save_for_backward(torch.cat([gradient for _, gradient in parts]))
        return torch.cat([total for total, _ in parts])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        [gradient] = ctx.saved_tensors
        return (grads[0][:, None] * gradient).to(ctx.dtype), None


def _sum_blocks(hidden: Tensor, matrix: Tensor, needed: bool) -> tuple[Tensor, Tensor]:
    """Return log Σ exp, (n,), and its gradient Σ softmax · matrix, (n, d), where it is needed."""
    total = hidden.new_full((len(hidden),), -torch.inf, dtype=torch.float32)
    gradient = torch.zeros(hidden.shape if needed else (0,), device=hidden.device)
    for block in _blocks(matrix):
        own, weights = _log_sum((hidden @ block.T).float())
        before, total = total, torch.logaddexp(total, own)
        if needed:
            of_block = weights.to(block.dtype) @ block
            gradient = gradient * (before - total).exp()[:, None]
            gradient += of_block * (own - total).exp()[:, None]
    return total, gradient


def _blocks(matrix: Tensor) -> tuple[Tensor, ...]:
    at_once = TOKENS_AT_ONCE if matrix.device.type == "cpu" else len(matrix)
    blocks: tuple[Tensor, ...] = matrix.split(at_once)
    return blocks


def _log_sum(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return log Σ exp of each row and its softmax.

    The largest logit's softmax says what the sum is: on a CPU, torch's softmax takes less than its
    exponential alone.
    """
    weights = logits.softmax(1)
    return logits.amax(1) - weights.amax(1).log(), weights


class _Int8(NamedTuple):
    """Numbers as int8, (n, d), each row with a scale, (n, 1): their product is nearest to them."""

    values: Tensor
    scale: Tensor

    @classmethod
    def of(cls, x: Tensor) -> _Int8:
        parts = [_as_int8(rows.float()) for rows in x.split(ROWS_AT_ONCE)]  # in a CPU's caches
        values, scales = zip(*parts, strict=True)
        return cls(torch.cat(values), torch.cat(scales))


def _as_int8(x: Tensor) -> tuple[Tensor, Tensor]:
    scale = x.abs().amax(1, keepdim=True).clamp(min=1e-12) / 127
    return (x / scale).round().to(torch.int8), scale


class QuantisedNormaliser:
    """`log_normaliser` of a matrix that is not trained, in numbers that a CPU is quick at.

    bfloat16 where a gradient is asked for; else, with `int8`, int8 with a scale for each row of the
    matrix and each of the states. The errors are in benchmarks/results/whisper.md.
    """

    def __init__(self, matrix: Tensor, int8: bool) -> None:
        matrix = matrix.detach()
        self._bf16 = matrix.bfloat16()
        self._int8 = _Int8.of(matrix) if int8 else None

    def __call__(self, hidden: Tensor) -> Tensor:
        """Return log Σ exp(matrix · hidden) of each row: float32 of shape (n,)."""
        if self._int8 is None or hidden.requires_grad:
            return log_normaliser(hidden, self._bf16)
        matrix = self._int8
        return torch.cat([_sum_int8(rows, matrix) for rows in hidden.split(ROWS_AT_ONCE)])


def _sum_int8(hidden: Tensor, matrix: _Int8) -> Tensor:
    own = _Int8.of(hidden)
    total = hidden.new_full((len(hidden),), -torch.inf, dtype=torch.float32)
    scales = matrix.scale[:, 0].split(TOKENS_AT_ONCE)
    for block, scale in zip(_blocks(matrix.values), scales, strict=True):
        sums = _int_mm(own.values, block.T)  # int8 products, summed in 32 bits
        logits = sums.float().mul_(scale).mul_(own.scale)
        total = torch.logaddexp(total, _log_sum(logits)[0])
    return total
