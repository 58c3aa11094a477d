"""CSV, and the like with tabs, semicolons or bars: the header line tells which."""

from __future__ import annotations

import csv
import io
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow
from numpy.typing import NDArray
from pyarrow import csv as arrow_csv

from audiomatch.datasets.cells import check_column_names
from audiomatch.errors import DataWarning, UserError

DELIMITERS = ",\t;|"


@dataclass(frozen=True)
class Start:
    """Where the header begins and what stands between cells.

    Attributes:
        at: characters before the header line: comments (lines with # first) and blank lines.
        lines: how many lines these are.
        delimiter: between two cells.
        spaced: whether a space follows the delimiter.
    """

    at: int
    lines: int
    delimiter: str
    spaced: bool


def read_delimited(text: str, name: str, *, quoted: bool = True) -> pd.DataFrame:
    """Return the rows, every cell as text; the index holds the line where each row begins.

    Where the cells are not `quoted`, a quote is a letter like any other. Raises `UserError`, naming
    the row, where quotes do not pair or a row has not as many cells as the header.
    """
    start = find_start(text, name)
    rows = _rows(text, start, name, quoted=quoted)
    header = _column_names(next(rows, (0, []))[1], name)
    plain = None if start.spaced else _read_plain(text, start, header)
    if plain is not None:
        return plain
    numbers, cells = [], []
    for number, row in rows:
        if len(row) != len(header):
            raise UserError(
                f"{name}, row {number}: cells are {len(row)}, and {len(header)} in the header; "
                f"a cell that holds {start.delimiter!r} must be in double quotes"
            )
        numbers.append(number)
        cells.append(row)
    _warn_of_swallowed_rows(numbers, cells, start.delimiter, name)
    values = list(zip(*cells, strict=True)) or [()] * len(header)
    columns = dict(zip(header, values, strict=True))
    return pd.DataFrame(columns, index=pd.Index(numbers), dtype=object)


def raw_header(text: str, start: Start, name: str) -> list[str]:
    """Return the cells of the header as they are written."""
    return next(_rows(text, start, name, quoted=True))[1]


def find_start(text: str, name: str) -> Start:
    """Find the header line and its delimiter."""
    at = 0
    for number, line in enumerate(io.StringIO(text, newline="")):
        if line.strip() and not line.startswith("#"):
            bare = re.sub('"[^"]*"', "", line)
            delimiter = max(DELIMITERS, key=bare.count)  # the comma where there is none
            return Start(at, number, delimiter, f"{delimiter} " in bare)
        at += len(line)
    raise UserError(f"{name}: not readable as csv: no header line")


def _rows(text: str, start: Start, name: str, *, quoted: bool) -> Iterator[tuple[int, list[str]]]:
    """Yield the line where each row begins, counted from 1, and its cells; blank lines are not."""
    lines = io.StringIO(text[start.at :], newline="")
    reader = csv.reader(
        lines,
        delimiter=start.delimiter,
        strict=True,
        skipinitialspace=start.spaced,
        quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
    )
    began = start.lines + 1
    try:
        for cells in reader:
            if len(cells) > 1 or (cells and cells[0].strip()):
                yield began, cells
            began = start.lines + reader.line_num + 1
    except csv.Error as error:
        raise UserError(
            f"{name}, row {began}: its quotes do not pair ({error}); a cell with a quote in it "
            "must be in double quotes, and the quote doubled"
        ) from None


def _column_names(cells: list[str], name: str) -> list[str]:
    """Return the names without spaces around them; one without a name gets that of pandas."""
    names = [cell.strip() or f"Unnamed: {i}" for i, cell in enumerate(cells)]
    check_column_names(names, name)
    return names


def _read_plain(text: str, start: Start, header: list[str]) -> pd.DataFrame | None:
    """Read fast a table where each line is a row; None where that is not so, or a row is wrong."""
    if '"' in text or "\n\n" in text or "\n\r" in text or text.count("\r") != text.count("\r\n"):
        return None
    try:
        table = arrow_csv.read_csv(
            io.BytesIO(text[start.at :].encode()),
            arrow_csv.ReadOptions(column_names=header, skip_rows=1),
            arrow_csv.ParseOptions(delimiter=start.delimiter, quote_char=False),
            arrow_csv.ConvertOptions(column_types=dict.fromkeys(header, pyarrow.string())),
        )
    except (pyarrow.ArrowException, UnicodeEncodeError):
        return None
    columns = {name: _shared(table[name].combine_chunks()) for name in header}
    first = start.lines + 2
    return pd.DataFrame(columns, index=pd.RangeIndex(first, first + len(table)), dtype=object)


def _shared(cells: pyarrow.StringArray) -> NDArray[np.object_]:
    """Return the cells as text, those that are alike as one object, which saves memory and time."""
    coded = cells.dictionary_encode()
    distinct = np.array(coded.dictionary.to_pylist(), object)
    shared: NDArray[np.object_] = distinct[coded.indices.to_numpy()]
    return shared


def _warn_of_swallowed_rows(
    numbers: list[int], rows: list[list[str]], delimiter: str, name: str
) -> None:
    """Warn of a cell that holds what looks like rows: its quote may belong to no other."""
    for number, row in zip(numbers, rows, strict=True):
        for cell in row:
            if "\n" in cell and _looks_like_rows(cell, delimiter, len(row)):
                warnings.warn(
                    f"{name}, row {number}: a cell in quotes holds {cell.count(chr(10))} line "
                    "breaks and what looks like rows; does each quote have its other?",
                    DataWarning,
                    stacklevel=2,
                )
                return


def _looks_like_rows(cell: str, delimiter: str, width: int) -> bool:
    return any(line.count(delimiter) >= width - 1 for line in cell.split("\n"))
