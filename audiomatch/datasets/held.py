"""Audio that comes inside a table or from memory, as files that live as long as its clips."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any


class HeldFolder:
    """A temporary folder that is removed when nobody holds this object any more."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="audiomatch-"))
        weakref.finalize(self, _remove, self.path, os.getpid())

    def __reduce__(self) -> tuple[type, tuple[()]]:
        """Let another process have the clips but not the duty to remove their files."""
        return type(None), ()


def _remove(folder: Path, process: int) -> None:
    if os.getpid() == process:  # a forked process ends without it
        shutil.rmtree(folder, ignore_errors=True)


def unpack_audio(cells: Iterable[Any]) -> tuple[list[Any], list[Any], tuple[HeldFolder, ...]]:
    """Write the audio that cells hold, as {"bytes", "path"} of Hugging Face, into files.

    Returns for each cell the name of its audio, and the path: that of the file written, or what the
    cell says, as it is.
    """
    names = list(cells)
    paths, held = list(names), None
    for position, cell in enumerate(names):
        if is_packed(cell):
            names[position] = paths[position] = cell["path"]
            if cell["bytes"] is not None:
                held = held or HeldFolder()
                suffix = PurePosixPath(cell["path"] or "").suffix
                file = held.path / f"{position:06}{suffix}"
                file.write_bytes(cell["bytes"])
                paths[position] = str(file)
    return names, paths, (held,) if held else ()


def is_packed(cell: Any) -> bool:
    """Whether a cell is audio as Hugging Face datasets keep it."""
    return (
        isinstance(cell, dict)
        and cell.keys() >= {"bytes", "path"}
        and isinstance(cell["bytes"], bytes | None)
        and isinstance(cell["path"], str | None)
    )
