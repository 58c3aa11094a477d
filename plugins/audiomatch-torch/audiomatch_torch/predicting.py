"""Passes over rows without gradients: numbers of every row, or states kept of every row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiomatch_torch.batches import Lengths, Rows
from audiomatch_torch.compute import Compute
from audiomatch_torch.memory_limit import MemoryLimit, out_of_memory


def predict(
    numbers: Callable[[Rows], Tensor],
    lengths: Lengths,
    compute: Compute,
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
        capacity: the most padded length in one forward pass, None for all that may share one;
            halved where memory runs out.
        mixed: whether rows of unequal length may share a pass.
        label: names the task that is shown.

    Returns:
        float64 of shape (n, ...).
    """
    parts: list[tuple[Rows, NDArray[np.float64]]] = []

    def keep(rows: Rows) -> None:
        parts.append((rows, numbers(rows).cpu().double().numpy()))

    _passes(keep, lengths, compute, MemoryLimit(capacity, mixed), label)
    if not parts:
        return np.zeros(0)
    out = np.empty((len(lengths), *parts[0][1].shape[1:]))
    for rows, own in parts:
        out[rows] = own
    return out


@dataclass(frozen=True)
class Encoded:
    """What an encoder gave for every row, on the CPU.

    Attributes:
        states: of each row, without the axis of the batch.
        device: where they are wanted.
    """

    states: Sequence[Tensor]
    device: torch.device

    def __getitem__(self, row: int) -> Tensor:
        return self.states[row]

    def stack(self, rows: Rows) -> Tensor:
        """Return the states of rows of one shape, (rows, ...), float32 on the device."""
        return torch.stack([self.states[row] for row in rows]).to(self.device).float()


def encode_once(
    encode: Callable[[Rows], Tensor | Sequence[Tensor]],
    lengths: Lengths,
    compute: Compute,
    *,
    capacity: float | None = None,
    mixed: bool = False,
    dtype: torch.dtype | None = None,
    label: str = "encode",
) -> Encoded:
    """Run an encoder that is not trained once a row, and keep what it gives.

    Args:
        encode: gives the states of the rows asked for, as `numbers` of `predict` does: a tensor
            (rows, ...), or a tensor a row.
        lengths: the padded length of every row, shape (n,).
        compute: the device and precision.
        capacity: as in `predict`.
        mixed: as in `predict`.
        dtype: what the states are kept in; as they come where None.
        label: names the task that is shown.
    """
    kept: list[Tensor] = [torch.empty(0)] * len(lengths)

    def keep(rows: Rows) -> None:
        states = encode(rows)
        if isinstance(states, Tensor):
            states = states.to("cpu", dtype)
        for row, own in zip(rows, states, strict=True):
            kept[row] = own.to("cpu", dtype).clone()

    _passes(keep, lengths, compute, MemoryLimit(capacity, mixed), label)
    return Encoded(kept, compute.device)


def _passes(
    one: Callable[[Rows], None],
    lengths: Lengths,
    compute: Compute,
    limit: MemoryLimit,
    label: str,
) -> None:
    """Call `one` for all rows, those that may share a pass together, longest first."""
    with (
        torch.inference_mode(),
        compute.deterministic(),
        compute.run.progress.task(label, total=len(lengths)) as task,
    ):
        waiting = limit.pieces(np.arange(len(lengths)), lengths)
        while waiting:
            rows = waiting.pop(0)
            if _fits(one, rows, compute):
                task.advance(len(rows))
                continue
            limit.shrink(rows, lengths)
            waiting = limit.pieces(np.concatenate([rows, *waiting]), lengths)


def _fits(one: Callable[[Rows], None], rows: Rows, compute: Compute) -> bool:
    """Call `one`; False where memory ran out."""
    try:
        with compute.autocast():
            one(rows)
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
        return False
    return True
