"""Tables written back as they were, with columns more: the answers beside what was asked."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
from pyarrow import parquet

from audiomatch.datasets.delimited import find_start, raw_header, read_delimited
from audiomatch.datasets.encoding import decode_text, encode_like
from audiomatch.datasets.json_lines import json_rows
from audiomatch.datasets.tables import (
    json_line,
    read_table,
    table_suffix,
    to_delimited,
    unpacked_bytes,
    write_bytes,
    write_table,
)
from audiomatch.files import atomic_file

Rows = Iterable[Any] | None


def with_columns(frame: pd.DataFrame, more: pd.DataFrame, only: Rows = None) -> pd.DataFrame:
    """Return `frame` with the columns of `more`, which replace those of their names.

    A row that is not in the index of `more` has empty cells. `only` are the rows to return, in that
    order, else all.
    """
    added = more.astype(object).reindex(frame.index)
    frame = frame.assign(**{str(name): added[name] for name in added.columns})
    return frame if only is None else frame.loc[list(only)]


def write_back(source: Path, target: Path, more: pd.DataFrame, only: Rows = None) -> None:
    """Write the table `source` into `target` with columns more, all else as it is.

    Rows are those of `read_table`; `more` and `only` are as for `with_columns`. The ending of
    `target` says its format. Where that is the source's own, so are the types of columns in
    Parquet, the values of JSON, and the encoding, the line ends, the delimiter, the header and the
    comments before it in CSV.
    """
    suffixes = {table_suffix(source), table_suffix(target)}
    if suffixes == {".parquet"}:
        _to_parquet(source, target, more, only)
    elif suffixes <= {".jsonl", ".json"}:
        _to_json_lines(source, target, more, only)
    elif suffixes in ({".csv"}, {".tsv"}):
        _to_delimited(source, target, more, only)
    else:
        write_table(target, with_columns(read_table(source), more, only))


def _to_delimited(source: Path, target: Path, more: pd.DataFrame, only: Rows) -> None:
    data = unpacked_bytes(source)
    text = decode_text(data, source.name)
    start = find_start(text, source.name)
    frame = with_columns(read_delimited(text, source.name), more, only)
    names = raw_header(text, start, source.name)
    header = [*names, *frame.columns[len(names) :]]
    line = io.StringIO(text[start.at :], newline="").readline()
    end = line[len(line.rstrip("\r\n")) :] or "\n"
    rows = to_delimited(frame, start.delimiter, end, header=header)
    write_bytes(target, encode_like(text[: start.at] + rows, data))


def _to_json_lines(source: Path, target: Path, more: pd.DataFrame, only: Rows) -> None:
    data = unpacked_bytes(source)
    added: Any = more.astype(object).to_dict(orient="index")
    rows = dict(json_rows(decode_text(data, source.name), source.name))
    numbers = rows if only is None else only
    lines = (json_line({**rows[number], **added.get(number, {})}) for number in numbers)
    write_bytes(target, encode_like("".join(lines), data))


def _to_parquet(source: Path, target: Path, more: pd.DataFrame, only: Rows) -> None:
    with parquet.ParquetFile(source) as opened:
        table = append_columns(opened.read(), more, only)
    with atomic_file(target) as temporary:
        parquet.write_table(table, temporary)


def append_columns(table: pyarrow.Table, more: pd.DataFrame, only: Rows = None) -> pyarrow.Table:
    """Return an Arrow table, whose rows count from 1, with columns more, as `with_columns` does."""
    added = more.reindex(pd.RangeIndex(1, len(table) + 1))
    for name in added.columns:
        if str(name) in table.column_names:
            table = table.drop_columns([str(name)])
        table = table.append_column(str(name), pyarrow.array(added[name], from_pandas=True))
    return table if only is None else table.take(np.array(list(only), np.int64) - 1)
