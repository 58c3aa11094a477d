"""The one place that reads and writes tables: CSV and its like, JSONL and Parquet."""

from __future__ import annotations

import csv
import gzip
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
from audiomatch.datasets.delimited import find_start, read_delimited
from audiomatch.datasets.encoding import decode_text
from audiomatch.datasets.held import is_packed
from audiomatch.datasets.json_lines import json_rows, read_json_lines
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


def write_table(file: Path, frame: pd.DataFrame, delimiter: str | None = None) -> None:
    """Write a table, without its index, in the format that its ending says; whole or not at all.

    `delimiter` is that of a .csv, else the comma. A cell of audio as Hugging Face datasets keep it
    is its path in a text.
    """
    suffix = table_suffix(file)
    if suffix == ".parquet":
        with atomic_file(file) as temporary:
            frame.to_parquet(temporary, index=False)
        return
    frame = frame.map(lambda cell: cell["path"] if is_packed(cell) else cell)
    if suffix in (".jsonl", ".json"):
        _write_text(file, _json_lines(frame))
    else:
        _write_text(file, _delimited(frame, delimiter or ("\t" if suffix == ".tsv" else ",")))


def _write_text(file: Path, text: str) -> None:
    data = text.encode()
    with atomic_file(file) as temporary:
        temporary.write_bytes(gzip.compress(data) if file.suffix.lower() == ".gz" else data)


def _delimited(frame: pd.DataFrame, delimiter: str) -> str:
    text = frame.to_csv(index=False, sep=delimiter)
    if "\r" in text:  # which is no reason for pandas to quote a cell, and ends a line
        text = frame.to_csv(index=False, sep=delimiter, quoting=csv.QUOTE_ALL)
    return text


def _json_lines(frame: pd.DataFrame) -> str:
    """Return an object a line, without the keys that a row has not."""
    return "".join(map(_json_line, frame.astype(object).to_dict(orient="records")))


def _json_line(row: dict[Any, Any]) -> str:
    held = {
        str(key): value
        for key, value in row.items()
        if not (isinstance(value, float | np.floating) and np.isnan(value))
    }
    return json.dumps(held, ensure_ascii=False, default=_plain_number) + "\n"


def _plain_number(value: Any) -> Any:
    """Return a number of NumPy as one of Python, anything else that JSON has not as text."""
    return value.item() if isinstance(value, np.generic) else str(value)


def add_columns(source: Path, target: Path, more: pd.DataFrame) -> None:
    """Write the table `source` into `target` with columns more, all else as it is.

    The index of `more` holds rows of `source`, as `read_table` counts them; a row that is not in it
    has empty cells. A column of the same name is replaced. The ending of `target` says its format;
    a .csv keeps its delimiter.
    """
    suffixes = {table_suffix(source), table_suffix(target)}
    if suffixes == {".parquet"}:
        _add_to_parquet(source, target, more)
        return
    if suffixes <= {".jsonl", ".json"}:
        _add_to_json_lines(source, target, more)
        return
    frame = read_table(source)
    added = more.astype(object).reindex(frame.index)
    frame = frame.assign(**{str(name): added[name] for name in added.columns})
    same = suffixes == {".csv"}
    delimiter = find_start(read_text(source), source.name).delimiter if same else None
    write_table(target, frame, delimiter)


def _add_to_json_lines(source: Path, target: Path, more: pd.DataFrame) -> None:
    added: Any = more.astype(object).to_dict(orient="index")
    rows = json_rows(read_text(source), source.name)
    lines = (_json_line({**row, **added.get(number, {})}) for number, row in rows)
    _write_text(target, "".join(lines))


def _add_to_parquet(source: Path, target: Path, more: pd.DataFrame) -> None:
    with parquet.ParquetFile(source) as opened:
        table = opened.read()
    added = more.reindex(pd.RangeIndex(1, len(table) + 1))
    for name in added.columns:
        if str(name) in table.column_names:
            table = table.drop_columns([str(name)])
        table = table.append_column(str(name), pyarrow.array(added[name], from_pandas=True))
    with atomic_file(target) as temporary:
        parquet.write_table(table, temporary)
