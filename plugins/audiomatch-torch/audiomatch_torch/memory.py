"""Going on with less when memory runs out."""

from __future__ import annotations

import numpy as np
from accelerate.utils.memory import (  # type: ignore[import-untyped]
    clear_device_cache,
    should_reduce_batch_size,
)

from audiomatch.errors import UserError
from audiomatch_torch.batches import Lengths, Rows, chunks


class Capacity:
    """The most padded length that shares a forward pass; halved when memory runs out.

    Attributes:
        limit: in the unit of the lengths; infinite until the caller or the memory says otherwise.
        mixed: whether rows of unequal length may share a pass.
        halvings: how often memory ran out.
    """

    def __init__(self, limit: float | None = None, mixed: bool = False) -> None:
        self.limit = np.inf if limit is None else float(limit)
        self.mixed = mixed
        self.halvings = 0

    def pieces(self, rows: Rows, lengths: Lengths) -> list[Rows]:
        """Cut rows into what may share a pass; see `chunks`."""
        return chunks(rows, lengths, self.limit, self.mixed)

    def shrink(self, error: Exception, rows: Rows, lengths: Lengths) -> None:
        """Halve the limit below what `rows` took, or raise.

        Re-raises `error` where it is not about memory; raises `UserError` where a single row is
        already too much.
        """
        if not should_reduce_batch_size(error):
            raise error
        if len(rows) <= 1:
            raise UserError(
                f"a single clip of padded length {lengths[rows].sum():g} does not fit in memory; "
                "take a smaller model or another device"
            ) from error
        self.limit = float(lengths[rows].sum()) / 2
        self.halvings += 1
        clear_device_cache(garbage_collection=True)
