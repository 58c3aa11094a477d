"""Out of memory: the same rows again in smaller batches, which grow back."""

from __future__ import annotations

from typing import Any

import numpy as np

from audiomatch.errors import UserError
from audiomatch_torch.batches import Lengths, Rows, chunks

GOOD_BATCHES = 8


def out_of_memory(error: Exception) -> bool:
    """Whether `error` says that a device's memory ran out."""
    from accelerate.utils.memory import should_reduce_batch_size  # a second, seldom needed

    return bool(should_reduce_batch_size(error))


class MemoryLimit:
    """The most padded length that shares a forward pass.

    It is halved when memory runs out and doubled again after some good batches, ever more of them
    the more often memory ran out.

    Attributes:
        limit: in the unit of the lengths; infinite until the caller or the memory says otherwise.
        mixed: whether rows of unequal length may share a pass.
        halvings: how often memory ran out.
    """

    def __init__(self, most: float | None = None, mixed: bool = False) -> None:
        self.most = np.inf if most is None else float(most)
        self.limit = self.most
        self.mixed = mixed
        self.halvings = 0
        self._good = 0

    def to_json(self) -> dict[str, Any]:
        """Return where the limit stands, for `restore`."""
        limit = None if np.isinf(self.limit) else self.limit
        return {"limit": limit, "halvings": self.halvings, "good": self._good}

    def restore(self, content: dict[str, Any]) -> None:
        """Put the limit where `to_json` found it."""
        limit = content["limit"]
        self.limit = np.inf if limit is None else float(limit)
        self.halvings, self._good = int(content["halvings"]), int(content["good"])

    def pieces(self, rows: Rows, lengths: Lengths) -> list[Rows]:
        """Cut rows into what may share a pass; see `chunks`."""
        return chunks(rows, lengths, self.limit, self.mixed)

    def shrink(self, rows: int, length: float) -> None:
        """Halve the limit below `length`, that of so many rows, and free what the cache holds.

        To be called outside the `except` block: the error's traceback keeps the failed pass alive.
        Raises `UserError` where a single row is already too much.
        """
        if rows <= 1:
            raise UserError(
                f"a single clip of padded length {length:g} does not fit in memory; "
                "take a smaller model or another device"
            )
        self.limit = length / 2
        self.halvings += 1
        self._good = 0
        from accelerate.utils.memory import clear_device_cache

        clear_device_cache(garbage_collection=True)

    def grow(self) -> None:
        """Count a batch that went well; after enough of them double the limit."""
        if self.limit >= self.most:
            return
        self._good += 1
        if self._good >= GOOD_BATCHES * 2 ** (self.halvings - 1):
            self.limit = min(self.most, 2 * self.limit)
            self._good = 0
