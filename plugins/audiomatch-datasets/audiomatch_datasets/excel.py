"""The first sheet of an .xlsx, as a manifest."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from audiomatch.clips import Clips
from audiomatch.datasets.manifest import clips_of_table
from audiomatch.errors import UserError
from audiomatch.files import MOST_BYTES, atomic_file

# What openpyxl and the libraries below it raise for a file that is no workbook.
_DAMAGED = (
    AttributeError, EOFError, KeyError, IndexError, OSError, RuntimeError, SyntaxError, TypeError,
    ValueError, zipfile.BadZipFile, zlib.error,
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
    frame = pd.DataFrame([cells for _, cells in body], columns=names, dtype=object)
    frame.index = pd.Index([row for row, _ in body])
    return clips_of_table(frame, path.parent, path.name, labelled, columns)


def write(path: Path, target: Path, more: pd.DataFrame, only: Iterable[Any] | None) -> None:
    """Write the workbook with columns more in its first sheet; formulas become their values."""
    (top, header), *body = _rows(path)
    names = [_name(cell, i) for i, cell in enumerate(header)]
    book = _book(path, read_only=False)
    sheet = book.worksheets[0]
    for name in more:
        if name not in names:
            names.append(str(name))
        column = names.index(str(name)) + 1
        _put(sheet.cell(top, column), str(name))
        for row, value in more[name].dropna().items():
            _put(sheet.cell(row, column), value)
    if only is not None:
        _keep_rows(sheet, [row for row, _ in body], list(only))
    with atomic_file(target) as temporary:
        book.save(temporary)


def _put(cell: Any, value: object) -> Any:
    """Set the value of a cell, and return the cell; a text is never a formula."""
    cell.value = value
    if isinstance(value, str):
        cell.data_type = "s"
    return cell


def _keep_rows(sheet: Any, rows: list[int], only: list[int]) -> None:
    """Leave of `rows` those of `only`, in that order, from the first place on."""
    for merged in list(sheet.merged_cells.ranges):
        sheet.unmerge_cells(str(merged))
    kept = [[(cell.value, cell.number_format) for cell in sheet[row]] for row in only]
    sheet.delete_rows(rows[0], sheet.max_row)
    for row, cells in enumerate(kept, start=rows[0]):
        for column, (value, shown) in enumerate(cells, start=1):
            _put(sheet.cell(row, column), value).number_format = shown


def _book(path: Path, *, read_only: bool) -> Any:
    try:
        from openpyxl import load_workbook
    except ImportError:
        raise UserError(
            f"{path}: needs openpyxl: pip install 'audiomatch-datasets[excel]'"
        ) from None
    try:
        with zipfile.ZipFile(path) as packed:
            if sum(part.file_size for part in packed.infolist()) > MOST_BYTES:
                raise UserError(f"{path}: unpacked it is larger than {MOST_BYTES >> 30} GiB")
        return load_workbook(path, read_only=read_only, data_only=True)
    except _DAMAGED as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> UserError:
    return UserError(f"{path}: not readable as xlsx: {str(error)[:200]}")


def _rows(path: Path) -> list[tuple[int, tuple[object, ...]]]:
    """Return the number and the cells of each row that is not empty, as many as the widest has."""
    book = _book(path, read_only=True)
    try:
        sheet = book.worksheets[0]
        sheet.reset_dimensions()  # to what is there, whatever the file says
        cells = sheet.iter_rows(values_only=True)
        found = [
            (row, values) for row, values in enumerate(cells, start=1) if any(map(_said, values))
        ]
        book.close()
    except _DAMAGED as error:
        raise _unreadable(path, error) from None
    missing = (None,) * max((len(cells) for _, cells in found), default=0)
    return [(row, (*cells, *missing)[: len(missing)]) for row, cells in found]


def _name(cell: object, position: int) -> str:
    return str(cell).strip() if _said(cell) else f"Unnamed: {position}"


def _said(cell: object) -> bool:
    return cell is not None and cell != ""
