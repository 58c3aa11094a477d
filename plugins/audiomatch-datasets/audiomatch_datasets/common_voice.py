"""Common Voice: recordings in `clips/`, and tables with the votes of listeners."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from audiomatch.clips import Clips
from audiomatch.datasets.cells import is_missing
from audiomatch.datasets.delimited import read_delimited
from audiomatch.datasets.manifest import clips_of_table, require_columns
from audiomatch.datasets.tables import read_text, write_table
from audiomatch.datasets.writing import with_columns
from audiomatch.errors import UserError, brief

TABLES = ("validated.tsv", "invalidated.tsv")


def open_clips(path: Path, labelled: bool | None, columns: Mapping[str, str] | None) -> Clips:
    """Read one table, or of a folder `validated.tsv` and `invalidated.tsv`.

    `match` is 1 where a clip has more votes up than down, else 0.
    """
    folder = path if path.is_dir() else path.parent
    frame = pd.concat([_read(file) for file in _files(path)])
    return clips_of_table(frame, folder / "clips", path.name, labelled, columns)


def write(path: Path, target: Path, more: pd.DataFrame, only: Iterable[Any] | None) -> None:
    """Write the rows of all tables as one of them with columns more."""
    frame = pd.concat([_table(file) for file in _files(path)])
    write_table(target, with_columns(frame, more, only), quoted=False)


def _files(path: Path) -> list[Path]:
    files = [path] if path.is_file() else [path / name for name in TABLES]
    return [file for file in files if file.is_file()]


def _table(file: Path) -> pd.DataFrame:
    # Common Voice puts nothing in quotes; it doubles one within a sentence.
    frame = read_delimited(read_text(file), file.name, quoted=False)
    frame.index = pd.Index([f"{row} of {file.name}" for row in frame.index])
    return frame


def _read(file: Path) -> pd.DataFrame:
    frame = _table(file)
    needed = ("path", "sentence", "up_votes", "down_votes")
    require_columns(frame, needed, file.name)
    votes = [
        [
            _votes(value, f"{file.name}, row {str(row).split()[0]}: {name}")
            for row, value in frame[name].items()
        ]
        for name in needed[2:]
    ]
    frame["match"] = [int(up > down) for up, down in zip(*votes, strict=True)]
    frame["audio"] = frame["path"]
    frame["expected_text"] = frame["sentence"].str.replace('""', '"')
    if "client_id" in frame.columns:
        frame["speaker"] = frame["client_id"]
    return frame


def _votes(value: object, where: str) -> int:
    if is_missing(value) or not str(value).isdecimal():
        raise UserError(f"{where} is {brief(value)}; must be a number of votes")
    return int(str(value))
