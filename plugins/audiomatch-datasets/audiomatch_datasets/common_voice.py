"""Common Voice: recordings in `clips/`, and tables with the votes of listeners."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from audiomatch.clips import Clips
from audiomatch.datasets.cells import is_missing
from audiomatch.datasets.delimited import read_delimited
from audiomatch.datasets.manifest import clips_of_table, require_columns
from audiomatch.datasets.tables import read_text
from audiomatch.errors import UserError, brief

TABLES = ("validated.tsv", "invalidated.tsv")


def open_clips(path: Path, labelled: bool | None, _columns: Mapping[str, str] | None) -> Clips:
    """Read one table, or of a folder `validated.tsv` and `invalidated.tsv`.

    `match` is 1 where a clip has more votes up than down, else 0.
    """
    folder = path if path.is_dir() else path.parent
    files = [path] if path.is_file() else [path / name for name in TABLES]
    frame = pd.concat([_read(file) for file in files if file.is_file()])
    return clips_of_table(frame, folder / "clips", path.name, labelled)


def _read(file: Path) -> pd.DataFrame:
    # Common Voice puts nothing in quotes; it doubles one within a sentence.
    frame = read_delimited(read_text(file), file.name, quoted=False)
    needed = ("path", "sentence", "up_votes", "down_votes")
    require_columns(frame, needed, file.name)
    votes = [
        [_votes(value, f"{file.name}, row {row}: {name}") for row, value in frame[name].items()]
        for name in needed[2:]
    ]
    frame["match"] = [int(up > down) for up, down in zip(*votes, strict=True)]
    frame["audio"] = frame["path"]
    frame["expected_text"] = frame["sentence"].str.replace('""', '"')
    if "client_id" in frame.columns:
        frame["speaker"] = frame["client_id"]
    frame.index = pd.Index([f"{row} of {file.name}" for row in frame.index])
    return frame


def _votes(value: object, where: str) -> int:
    if is_missing(value) or not str(value).isdecimal():
        raise UserError(f"{where} is {brief(value)}; must be a number of votes")
    return int(str(value))
