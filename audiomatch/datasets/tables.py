"""The one place that reads and writes tables: CSV and its like, JSONL and Parquet."""

from __future__ import annotations

import gzip
import re
import zlib
from pathlib import Path

import pandas as pd
import pyarrow
from pyarrow import parquet

from audiomatch.datasets.cells import check_column_names
from audiomatch.datasets.delimited import read_delimited
from audiomatch.datasets.encoding import decode_text
from audiomatch.datasets.json_lines import read_json_lines
from audiomatch.errors import UserError
from audiomatch.files import atomic_file


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
    data = file.read_bytes()
    if data.startswith(b"\x1f\x8b"):
        try:
            data = gzip.decompress(data)
        except (EOFError, OSError, zlib.error) as error:
            raise UserError(f"{file}: not readable as gzip: {error}") from None
    return decode_text(data, file.name)


def _read_parquet(file: Path) -> pd.DataFrame:
    with parquet.ParquetFile(file) as opened:
        table = opened.read()
    check_column_names(table.column_names, file.name)
    # Whole numbers stay whole where some are missing; a named index of pandas is a column.
    frame: pd.DataFrame = table.to_pandas(integer_object_nulls=True, ignore_metadata=True)
    frame.index = pd.RangeIndex(1, len(frame) + 1)
    unnamed = [name for name in frame.columns if re.fullmatch(r"__index_level_\d+__", name)]
    return frame.drop(columns=unnamed)


def write_table(file: Path, frame: pd.DataFrame) -> None:
    """Write a table, without its index, as .csv or .parquet; whole or not at all."""
    with atomic_file(file) as temporary:
        if file.suffix.lower() == ".csv":
            frame.to_csv(temporary, index=False)
        else:
            frame.to_parquet(temporary, index=False)
