"""The first sheet of an .xlsx, as a manifest."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from audiomatch.clips import Clips
from audiomatch.datasets.manifest import clips_of_table
from audiomatch.errors import UserError

# What openpyxl and the libraries below it raise for a file that is no workbook.
_DAMAGED = (
    AttributeError, EOFError, KeyError, IndexError, OSError, SyntaxError, TypeError, ValueError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip


def open_clips(path: Path, labelled: bool | None, columns: Mapping[str, str] | None) -> Clips:
    """Read the sheet; its first row that is not empty is the header. Values are those shown last.

    Raises `UserError` without openpyxl, and for what is no .xlsx.
    """
    rows = _rows(path)
    if len(rows) < 2:
        raise UserError(f"{path}: no rows")
    (_, header), *body = rows
    names = [_name(cell, i) for i, cell in enumerate(header)]
    for row, cells in body:
        if any(map(_said, cells[len(names) :])):
            raise UserError(f"{path.name}, row {row}: has more cells than the header")
    missing = (None,) * len(names)
    filled = [(*cells, *missing)[: len(names)] for _, cells in body]
    frame = pd.DataFrame(filled, columns=names, dtype=object)
    frame.index = pd.Index([row for row, _ in body])
    return clips_of_table(frame, path.parent, path.name, labelled, columns)


def _rows(path: Path) -> list[tuple[int, tuple[object, ...]]]:
    """Return the number and the cells of each row that is not empty."""
    try:
        from openpyxl import load_workbook
    except ImportError:
        raise UserError(
            f"{path}: needs openpyxl: pip install 'audiomatch-datasets[excel]'"
        ) from None
    try:
        book = load_workbook(path, read_only=True, data_only=True)
        cells = book.worksheets[0].iter_rows(values_only=True)
        found = [
            (row, values) for row, values in enumerate(cells, start=1) if any(map(_said, values))
        ]
        book.close()
    except _DAMAGED as error:
        raise UserError(f"{path}: not readable as xlsx: {str(error)[:200]}") from None
    return found


def _name(cell: object, position: int) -> str:
    return str(cell).strip() if _said(cell) else f"Unnamed: {position}"


def _said(cell: object) -> bool:
    return cell is not None and cell != ""
