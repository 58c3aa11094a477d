"""Passes over rows without gradients: numbers of every row, or states kept of every row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiomatch.cache import ArrayCache
from audiomatch_torch.batches import Lengths, Rows
from audiomatch_torch.compute import Compute
from audiomatch_torch.memory_limit import MemoryLimit, out_of_memory
from audiomatch_torch.ranks import Ranks
from audiomatch_torch.states import States

Result = TypeVar("Result")

_AT_ONCE = 256  # rows whose states a rank sends to the others


def predict(
    numbers: Callable[[Rows], Tensor],
    lengths: Lengths,
    compute: Compute,
    *,
    capacity: float | None = None,
    mixed: bool = False,
    shared: bool = False,
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
        shared: whether ranks that fit together may each compute some of the rows: `numbers` does
            nothing but compute, and all ranks are asked for the same rows.
        label: names the task that is shown.

    Returns:
        float64 of shape (n, ...).
    """
    parts: list[tuple[Rows, NDArray[np.float64]]] = []

    def found(rows: Rows) -> NDArray[np.float64]:
        return numbers(rows).cpu().double().numpy()

    ranks = compute.ranks if shared else Ranks()
    rows = ranks.share(np.arange(len(lengths)), lengths)
    parts.extend(_passes(found, rows, lengths, compute, MemoryLimit(capacity, mixed), label))
    parts = list(chain.from_iterable(ranks.gather_objects(parts)))
    if not parts:
        return np.zeros(0)
    out = np.empty((len(lengths), *parts[0][1].shape[1:]))
    for rows, own in parts:
        out[rows] = own
    return out


class Keep(NamedTuple):
    """Where states are kept for other fits and predictions.

    Attributes:
        cache: whose version says all that decides the states beside the row.
        keys: of each row.
    """

    cache: ArrayCache
    keys: Sequence[str]


@dataclass(frozen=True)
class Encoded:
    """What an encoder gave for every row, mapped from a file.

    Attributes:
        states: gives those of a row, without the axis of the batch.
        device: where they are wanted.
    """

    states: Callable[[int], Tensor]
    device: torch.device

    def __getitem__(self, row: int) -> Tensor:
        return self.states(row)

    def stack(self, rows: Rows) -> Tensor:
        """Return the states of rows of one shape, (rows, ...), float32 on the device."""
        return torch.stack([self.states(row) for row in rows]).to(self.device).float()


def encode_once(
    encode: Callable[[Rows], Tensor | Sequence[Tensor]],
    lengths: Lengths,
    compute: Compute,
    *,
    capacity: float | None = None,
    mixed: bool = False,
    dtype: torch.dtype | None = None,
    label: str = "encode",
    keep: Keep | None = None,
) -> Encoded:
    """Run an encoder that is not trained once a row, and keep what it gives.

    It is kept on the disk, in `run.cache`, so that many clips take no more memory than few: as long
    as the result lives, or with `keep` until `audiomatch cache` or `make_room` removes it.
    Ranks that fit together each encode some of the rows, and all keep all of them, without `keep`.

    Args:
        encode: gives the states of the rows asked for, as `numbers` of `predict` does: a tensor
            (rows, ...), or a tensor a row.
        lengths: the padded length of every row, shape (n,).
        compute: the device and precision.
        capacity: as in `predict`.
        mixed: as in `predict`.
        dtype: what the states are kept in; as they come where None.
        label: names the task that is shown.
        keep: where other fits find the states; of a `dtype` that NumPy has.
    """
    limit, ranks, every = MemoryLimit(capacity, mixed), compute.ranks, np.arange(len(lengths))

    def one(rows: Rows) -> list[Tensor]:
        states = encode(rows)
        if isinstance(states, Tensor):
            states = states.to("cpu", dtype)
        return [own.to("cpu", dtype) for own in states]

    def encoded(rows: Rows) -> Iterator[tuple[int, Tensor]]:
        for own, states in _passes(one, rows, lengths, compute, limit, label):
            yield from zip(own.tolist(), states, strict=True)

    if keep is not None and ranks.count == 1:
        order = np.argsort(-lengths, kind="stable")  # that of the passes
        arrays = keep.cache.fill(
            [keep.keys[row] for row in order],
            lambda missing: (state.numpy() for _, state in encoded(order[missing])),
        )
        of_row = dict(zip(order.tolist(), arrays, strict=True))
        return Encoded(lambda row: torch.tensor(of_row[row]), compute.device)
    kept = States(len(lengths), compute.run.cache)
    own = ranks.share(every, lengths)
    for row, state in encoded(own):
        kept[row] = state
    for start in range(0, len(every) if ranks.count > 1 else 0, ranks.count * _AT_ONCE):
        first = start // ranks.count
        given = [(row, kept[row].clone()) for row in own[first : first + _AT_ONCE]]
        for row, states in chain.from_iterable(ranks.gather_objects(given)):
            kept[row] = states
    return Encoded(kept.__getitem__, compute.device)


def _passes(
    one: Callable[[Rows], Result],
    rows: Rows,
    lengths: Lengths,
    compute: Compute,
    limit: MemoryLimit,
    label: str,
) -> Iterator[tuple[Rows, Result]]:
    """Give what `one` gives for the rows, those that may share a pass together, longest first."""
    with compute.run.progress.task(label, total=len(rows)) as task:
        waiting = limit.pieces(rows, lengths)
        while waiting:
            rows = waiting.pop(0)
            found = _tried(one, rows, compute)
            if found is not None:
                yield rows, found
                task.advance(len(rows))
                continue
            limit.shrink(len(rows), float(lengths[rows].sum()))
            waiting = limit.pieces(np.concatenate([rows, *waiting]), lengths)


def _tried(one: Callable[[Rows], Result], rows: Rows, compute: Compute) -> Result | None:
    """Call `one` without gradients; None where memory ran out."""
    try:
        with torch.inference_mode(), compute.deterministic(), compute.autocast():
            return one(rows)
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
        return None
