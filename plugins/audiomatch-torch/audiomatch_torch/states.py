"""Tensors of rows in a file that is mapped: more of them than memory holds."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiomatch.files import refusals_named


class States:
    """A tensor a row, in any order, each of a shape and dtype of its own.

    They lie in a file that has no name and is gone with this object. What was written is dropped
    from memory by the system where others need it, so that it takes disk and not memory.
    """

    def __init__(self, rows: int, folder: Path) -> None:
        """Take as many rows; the file is made in `folder`, else where temporary files are."""
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (lives as long as this)
        except OSError:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 (likewise)
        self._kept = [(0, torch.uint8, torch.Size([0]))] * rows  # where each begins, and what it is
        self._size = 0
        self._mapped: NDArray[np.uint8] = np.empty(0, np.uint8)

    def __setitem__(self, row: int, state: Tensor) -> None:
        """Write the state of a row. Raises `UserError` where the disk refuses."""
        data = state.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        with refusals_named(self._folder):
            self._file.seek(self._size)
            self._file.write(data.data)
        self._kept[row] = self._size, state.dtype, state.shape
        self._size += data.nbytes

    def __getitem__(self, row: int) -> Tensor:
        """Return the state of a row, which is not to be written to."""
        if len(self._mapped) != self._size:
            self._file.flush()
            self._mapped = np.memmap(self._file, np.uint8, "c", shape=(self._size,))
        start, dtype, shape = self._kept[row]
        size = shape.numel() * dtype.itemsize
        return torch.from_numpy(self._mapped[start : start + size]).view(dtype).reshape(shape)

    def __len__(self) -> int:
        return len(self._kept)
