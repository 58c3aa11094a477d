"""JSON lines: an object a line. Lines end in a line feed, and in nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pandas as pd

from audiomatch.errors import UserError, brief


def read_json_lines(text: str, name: str) -> pd.DataFrame:
    """Return the objects as rows, values as they are; the index holds the line of each.

    Raises `UserError`, naming the line, for what is no JSON object.
    """
    numbers, rows = [], []
    for number, row in json_rows(text, name):
        numbers.append(number)
        rows.append(row)
    return pd.DataFrame(rows, index=pd.Index(numbers), dtype=object)


def json_rows(text: str, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the line of each object, counted from 1, and the object; blank lines are not."""
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, _object(line, f"{name}, row {number}")


def _object(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line, object_pairs_hook=_each_key_once)
        if "\\ud" in line.lower():
            json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise UserError(f"{where}: half a surrogate pair is escaped, which is no text") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: not JSON: {error}") from None
    if not isinstance(row, dict):
        raise UserError(f"{where}: must be a JSON object, is {brief(row)}")
    return row


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for i, name in enumerate(names) if name in names[:i])
        raise ValueError(f"the key {brief(repeated)} comes twice")
    return found
