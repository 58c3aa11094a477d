"""The layout `manifest`: one CSV, JSONL or Parquet file, a row a clip."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from audiomatch.clips import Clips
from audiomatch.datasets import MANIFEST_SUFFIXES, find_manifest
from audiomatch.datasets.tables import read_table
from audiomatch.errors import UserError
from audiomatch.files import user_path


def open_manifest(path: Path | None, labelled: bool | None) -> Clips:
    """Read columns `audio`, `expected_text`, `match` and any more; paths relative to the file.

    `id` is the manifest's own where it has one, else `audio` as written. `~` is the home folder.
    """
    assert path is not None
    file = find_manifest(path)
    if file is None:
        raise UserError(f"{path}: no manifest; it must be one of {', '.join(MANIFEST_SUFFIXES)}")
    frame = read_table(file)
    needed = ("audio", "expected_text", "match") if labelled else ("audio", "expected_text")
    require_columns(frame, needed, file.name)
    if labelled is False:
        frame = frame.drop(columns="match", errors="ignore")
    audio = frame["audio"].fillna("").astype(str)
    if "id" not in frame.columns:
        frame["id"] = audio
    frame["audio"] = [
        str((file.parent / user_path(name)).resolve()) if name else "" for name in audio
    ]
    return Clips(frame, file.name)


def require_columns(frame: pd.DataFrame, names: tuple[str, ...], source: str) -> None:
    """Raise `UserError` for the first column that is not there."""
    for name in names:
        if name not in frame.columns:
            raise UserError(
                f"{source}: no column {name!r}; needs {', '.join(names)}, "
                f"has {', '.join(map(str, frame.columns))}"
            )
