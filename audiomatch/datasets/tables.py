"""The one place that reads and writes tables: CSV and its like, JSONL and Parquet."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
from pyarrow import parquet

from audiomatch.datasets.cells import check_column_names
from audiomatch.datasets.delimited import read_delimited
from audiomatch.datasets.encoding import decode_text
from audiomatch.datasets.held import is_packed
from audiomatch.datasets.json_lines import read_json_lines
from audiomatch.errors import UserError
from audiomatch.files import MOST_BYTES, atomic_file, read_regular


def read_table(file: Path) -> pd.DataFrame:
    """Read a table, every value as it is written.

    The index holds the line where each row begins in the file (Parquet: 1, 2, …). Cells of CSV stay
    text, so that the words "null" and "NA" survive. A file that ends in .gz is unpacked. Raises
    `UserError` for a file that does not hold a table.
    """
    suffix = table_suffix(file)
    try:
        if suffix == ".parquet":
            frame = _read_parquet(file)
        elif suffix in (".jsonl", ".json"):
            frame = read_json_lines(read_text(file), file.name)
        else:
            frame = read_delimited(read_text(file), file.name)
    except (OSError, ValueError, OverflowError, pyarrow.ArrowException) as error:
        message = " ".join(str(error).split())[:200]
        raise UserError(f"{file}: not readable as {suffix[1:]}: {message}") from None
    if frame.empty:
        raise UserError(f"{file}: no rows")
    return frame


def table_suffix(file: Path) -> str:
    """Return the ending that says the format, in small letters, without a last .gz."""
    name = file.name.lower().removesuffix(".gz")
    return Path(name).suffix


def read_text(file: Path) -> str:
    """Return the text of a file, unpacked where it is gzipped. Raises `UserError`."""
    return decode_text(unpacked_bytes(file), file.name)


def unpacked_bytes(file: Path) -> bytes:
    """Return the content of a file, unpacked where it is gzipped. Raises `UserError`."""
    data = read_regular(file)
    if not data.startswith(b"\x1f\x8b"):
        return data
    try:
        with gzip.open(io.BytesIO(data)) as unpacked:
            content = unpacked.read(MOST_BYTES + 1)
    except (EOFError, OSError, zlib.error) as error:
        raise UserError(f"{file}: not readable as gzip: {error}") from None
    if len(content) > MOST_BYTES:
        raise UserError(f"{file}: unpacked it is larger than {MOST_BYTES >> 30} GiB")
    return content


def _read_parquet(file: Path) -> pd.DataFrame:
    with parquet.ParquetFile(file) as opened:
        table = opened.read()
    table.validate(full=True)
    check_column_names(table.column_names, file.name)
    # Whole numbers stay whole where some are missing; a named index of pandas is a column.
    frame: pd.DataFrame = table.to_pandas(integer_object_nulls=True, ignore_metadata=True)
    frame.index = pd.RangeIndex(1, len(frame) + 1)
    unnamed = [name for name in frame.columns if re.fullmatch(r"__index_level_\d+__", name)]
    return frame.drop(columns=unnamed)


def write_table(file: Path, frame: pd.DataFrame, *, quoted: bool = True) -> None:
    """Write a table, without its index, in the format that its ending says; whole or not at all.

    A cell of audio as Hugging Face datasets keep it is its path in a text. Where the cells are not
    `quoted`, they hold no delimiter and no line end.
    """
    suffix = table_suffix(file)
    if suffix == ".parquet":
        with atomic_file(file) as temporary:
            frame.to_parquet(temporary, index=False)
        return
    frame = frame.map(lambda cell: cell["path"] if is_packed(cell) else cell)
    if suffix in (".jsonl", ".json"):
        text = _json_lines(frame)
    else:
        text = to_delimited(frame, "\t" if suffix == ".tsv" else ",", quoted=quoted)
    write_bytes(file, text.encode())


def write_bytes(file: Path, data: bytes) -> None:
    """Write a file, gzipped where its name ends in .gz; whole or not at all."""
    with atomic_file(file) as temporary:
        temporary.write_bytes(gzip.compress(data) if file.suffix.lower() == ".gz" else data)


def to_delimited(
    frame: pd.DataFrame,
    delimiter: str,
    end: str = "\n",
    *,
    quoted: bool = True,
    header: list[str] | None = None,
) -> str:
    """Return the rows as lines that end in `end`, under a `header` (else the columns' names)."""

    def written(quoting: Any) -> str:
        names: Any = True if header is None else header
        text: str = frame.to_csv(
            index=False, header=names, sep=delimiter, lineterminator=end, quoting=quoting
        )
        return text

    text = written(csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE)
    if quoted and {"\n": "\r", "\r": "\n"}.get(end, "\0") in text:
        return written(csv.QUOTE_ALL)  # to pandas the other line end is no reason to quote a cell
    return text


def _json_lines(frame: pd.DataFrame) -> str:
    """Return an object a line, without the keys that a row has not."""
    return "".join(map(json_line, frame.astype(object).to_dict(orient="records")))


def json_line(row: dict[Any, Any]) -> str:
    """Return an object as a line of JSON, without what is missing; what JSON has not is text."""
    held = {
        str(key): value
        for key, value in row.items()
        if not (isinstance(value, float | np.floating) and np.isnan(value))
    }
    return json.dumps(held, ensure_ascii=False, default=_plain_number) + "\n"


def _plain_number(value: Any) -> Any:
    """Return a number of NumPy as one of Python, anything else that JSON has not as text."""
    return value.item() if isinstance(value, np.generic) else str(value)
