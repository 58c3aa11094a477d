"""The one place that reads and writes tables: CSV, JSONL and Parquet."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pandas as pd

from audiomatch.errors import UserError
from audiomatch.files import atomic_file


def read_table(file: Path) -> pd.DataFrame:
    """Read a table, every value as it is written.

    The index holds the line of each row in the file (Parquet: 1, 2, …). CSV values stay text, so
    that the words "null" and "NA" survive. Text is UTF-8, with lines that are not read as cp1252.
    Raises `UserError` for a file that does not hold a table.
    """
    try:
        suffix = file.suffix.lower()
        if suffix == ".parquet":
            frame = pd.read_parquet(file)
            frame.index = pd.RangeIndex(1, len(frame) + 1)
        elif suffix == ".jsonl":
            frame = _read_jsonl(file)
        else:
            frame = pd.read_csv(
                io.StringIO(decode_text(file.read_bytes())), dtype=str, keep_default_na=False
            )
            frame.index = pd.RangeIndex(2, len(frame) + 2)
    except UserError:
        raise
    except (OSError, ValueError) as error:
        message = " ".join(str(error).split())
        raise UserError(f"{file}: not readable as {suffix[1:]}: {message}") from None
    if frame.empty:
        raise UserError(f"{file}: no rows")
    return frame


def write_table(file: Path, frame: pd.DataFrame) -> None:
    """Write a table, without its index, as .csv or .parquet; whole or not at all."""
    with atomic_file(file) as temporary:
        if file.suffix.lower() == ".csv":
            frame.to_csv(temporary, index=False)
        else:
            frame.to_parquet(temporary, index=False)


def decode_text(data: bytes) -> str:
    """Decode UTF-8 line by line, taking a line that is not UTF-8 as cp1252."""
    lines = []
    for line in data.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        try:
            lines.append(line.decode("utf-8"))
        except UnicodeDecodeError:
            lines.append(line.decode("cp1252", errors="replace"))
    return "\n".join(lines)


def _read_jsonl(file: Path) -> pd.DataFrame:
    rows, numbers = [], []
    for number, line in enumerate(decode_text(file.read_bytes()).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(f"{file.name}, row {number}: not JSON: {error}") from None
        if not isinstance(row, dict):
            raise UserError(f"{file.name}, row {number}: must be a JSON object")
        rows.append(row)
        numbers.append(number)
    return pd.DataFrame(rows, index=pd.Index(numbers))
