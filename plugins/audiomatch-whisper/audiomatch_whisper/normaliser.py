"""Log probabilities of a few tokens without the logits of all of them in memory at once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

# Tokens whose logits over the whole vocabulary exist at one time.
AT_ONCE = 128


def token_log_p(hidden: Tensor, matrix: Tensor, wanted: Tensor) -> Tensor:
    """Return log softmax(matrix · hidden) at the wanted token of each row: float32 of shape (n,).

    Where the matrix is not trained, the logits are made, summed up and thrown away a few rows at a
    time, and the gradient is made on the way: for row i and its upstream gradient g it is
    g (w - Σ p_v v), of which only g is missing. Where it is trained, that would make all logits
    twice, at 1.5 to 2 times the cost on a CPU: there it is the plain cross-entropy.

    Args:
        hidden: (n, d).
        matrix: the output matrix, (vocabulary, d); where it is bfloat16, the normaliser is as
            exact as that, the wanted token's own logit more so.
        wanted: ids, (n,).
    """
    if matrix.requires_grad and torch.is_grad_enabled():
        logits = functional.linear(hidden, matrix).float()
        return -functional.cross_entropy(logits, wanted, reduction="none")
    function: Any = _TokenLogP  # without types
    out: Tensor = function.apply(hidden, matrix, wanted)
    return out


class _TokenLogP(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, matrix: Tensor, wanted: Tensor) -> Tensor:
        kind = hidden.device.type
        # Autocast does not reach in here: do what it would.
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else matrix.dtype
        ctx.dtype = hidden.dtype
        rows = matrix[wanted].float() if matrix.dtype != hidden.dtype else None
        exact = None if rows is None else (hidden.float() * rows).sum(1)
        hidden, matrix = hidden.to(dtype), matrix.to(dtype)
        slope = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        out = torch.empty(len(hidden), dtype=torch.float32, device=hidden.device)
        for start in range(0, len(hidden), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            logits = (hidden[part] @ matrix.T).float()
            own = logits.gather(1, wanted[part, None]) if exact is None else exact[part, None]
            # Log-sum-exp in the logits' own memory, so that the exponentials serve twice.
            most = logits.amax(1, keepdim=True)
            sums = logits.sub_(most).exp_().sum(1, keepdim=True)
            out[part] = (own - most - sums.log())[:, 0].clamp(max=0)
            if slope is not None:
                # One-hot minus softmax.
                residual = logits.div_(-sums)
                residual[torch.arange(len(residual), device=residual.device), wanted[part]] += 1
                slope[part] = residual.to(dtype) @ matrix
        if slope is not None:
            ctx.save_for_backward(slope)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        [slope] = ctx.saved_tensors
        return (grads[0][:, None] * slope).to(ctx.dtype), None, None
