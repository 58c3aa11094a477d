"""The one prediction loop."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiomatch.matcher import Run
from audiomatch_torch.batches import Lengths, Rows
from audiomatch_torch.compute import Compute
from audiomatch_torch.memory import Capacity


def predict(
    numbers: Callable[[Rows], Tensor],
    lengths: Lengths,
    compute: Compute,
    run: Run,
    *,
    capacity: float | None = None,
    mixed: bool = False,
    label: str = "predict",
) -> NDArray[np.float64]:
    """Compute `numbers` of every row, longest first, and return them in row order.

    Args:
        numbers: gives a tensor of shape (rows, ...) for the rows asked for; these have one padded
            length, or come longest first where they are mixed. Called without gradients; the model
            should be in `eval` mode.
        lengths: the padded length of every row, shape (n,).
        compute: the device and precision.
        run: for progress.
        capacity: the most padded length in one forward pass, None for all that may share one;
            halved where memory runs out.
        mixed: whether rows of unequal length may share a pass.
        label: names the task that is shown.

    Returns:
        float64 of shape (n, ...).
    """
    limit = Capacity(capacity, mixed)
    waiting = [np.arange(len(lengths))]
    parts: list[tuple[Rows, NDArray[np.float64]]] = []
    with (
        torch.inference_mode(),
        compute.deterministic(),
        run.progress.task(label, total=len(lengths)) as task,
    ):
        waiting = limit.pieces(waiting[0], lengths)
        while waiting:
            rows = waiting.pop(0)
            try:
                with compute.autocast():
                    own = numbers(rows)
                parts.append((rows, own.double().cpu().numpy()))
            except RuntimeError as error:
                limit.shrink(error, rows, lengths)
                left = np.concatenate([rows, *waiting])
                waiting = limit.pieces(left, lengths)
                continue
            task.advance(len(rows))
    if not parts:
        return np.zeros(0)
    out = np.empty((len(lengths), *parts[0][1].shape[1:]))
    for rows, own_numbers in parts:
        out[rows] = own_numbers
    return out
