"""The softmax over the vocabulary: of one token without the logits of all tokens at once.

The log probability of a token is its logit less the softmax's normaliser, log Σ exp of all logits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

onednn = torch.ops.onednn  # under no public name

# Logits that exist at one time, by rows and, on a CPU, by tokens: what its caches hold.
ROWS_AT_ONCE = 256
TOKENS_AT_ONCE = 2048
FEW_ROWS = 16  # of int8 are filled up to a multiple of these: oneDNN makes code for every count
# What stands for 0 in states of uint8, which oneDNN multiplies with int8 on any CPU that has
# products of bytes; two of int8 it leaves to its slow reference where there is no AMX.
ZERO = 128


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


def _as_int8(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return numbers as int8, (n, d), each row with a scale, (n, 1): their product is nearest."""
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
        self._int8 = [_PackedInt8.of(block) for block in _blocks(matrix)] if int8 else []

    def __call__(self, hidden: Tensor) -> Tensor:
        """Return log Σ exp(matrix · hidden) of each row: float32 of shape (n,)."""
        if not self._int8 or hidden.requires_grad:
            return log_normaliser(hidden, self._bf16)
        return torch.cat([_sum_int8(rows, self._int8) for rows in hidden.split(ROWS_AT_ONCE)])


class _PackedInt8(NamedTuple):
    """Rows of a matrix in int8, laid out as the CPU multiplies them.

    Attributes:
        values: of n rows, in oneDNN's own layout.
        scale: of each row, (n,).
        zero: what stands for 0, (n,); it is 0.
    """

    values: Tensor
    scale: Tensor
    zero: Tensor

    @classmethod
    def of(cls, block: Tensor) -> _PackedInt8:
        values, scale = _as_int8(block.float())
        zero = torch.zeros(len(block), dtype=torch.int32)
        return cls(onednn.qlinear_prepack(values, None), scale[:, 0], zero)

    def times(self, values: Tensor) -> Tensor:
        """Return the logits of states in uint8 around `ZERO`, (m, d), as float32: (m, n)."""
        logits: Tensor = onednn.qlinear_pointwise(
            values, 1.0, ZERO, *self, None, 1.0, 0, torch.float32, "none", [], ""
        )
        return logits


def _sum_int8(hidden: Tensor, matrix: Sequence[_PackedInt8]) -> Tensor:
    count = len(hidden)
    hidden = functional.pad(hidden, (0, 0, 0, -count % FEW_ROWS))
    values, scale = _as_int8(hidden.float())
    values = (values.to(torch.int16) + ZERO).to(torch.uint8)
    total = hidden.new_full((len(hidden),), -torch.inf, dtype=torch.float32)
    for block in matrix:
        logits = block.times(values).mul_(scale)
        # As `_log_sum`, in fewer passes where the softmax itself is not wanted.
        total = torch.logaddexp(total, logits[:, 0] - logits.log_softmax(1)[:, 0])
    return total[:count]
