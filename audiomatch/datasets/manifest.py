"""The layout `manifest`: one CSV, JSONL or Parquet file, a row a clip."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from audiomatch.clips import Clips
from audiomatch.datasets import MANIFEST_SUFFIXES, find_manifest
from audiomatch.datasets.audio_paths import find_audio
from audiomatch.datasets.cells import check_column_names, text_cells
from audiomatch.datasets.tables import read_table
from audiomatch.errors import UserError


def open_manifest(path: Path | None, labelled: bool | None) -> Clips:
    """Read a manifest, or the one in a folder, as `clips_of_table` does."""
    assert path is not None
    file = find_manifest(path)
    if file is None:
        raise UserError(f"{path}: no manifest; it must be one of {', '.join(MANIFEST_SUFFIXES)}")
    return clips_of_table(read_table(file), file.parent, file.name, labelled)


def clips_of_table(frame: pd.DataFrame, folder: Path, source: str, labelled: bool | None) -> Clips:
    """Return the clips of a table with `audio`, `expected_text`, `match` and any more columns.

    Paths are relative to `folder`. `id` is the table's own where it has one, else `audio` as
    written, with `#2` and so on where a recording comes again with another text.
    """
    needed = ("audio", "expected_text", "match") if labelled else ("audio", "expected_text")
    require_columns(frame, needed, source)
    if labelled is False:
        frame = frame.drop(columns="match", errors="ignore")
    rows = frame.index
    check_column_names([str(name) for name in frame.columns], source)
    audio = text_cells(frame["audio"], "audio", lambda i: f"{source}, row {rows[i]}", loose=False)
    base = str(folder.resolve())
    paths = [find_audio(base, name) if name.strip() else "" for name in audio]
    if "id" not in frame.columns:
        names = [name or f"row {row}" for name, row in zip(audio, rows, strict=True)]
        frame = frame.assign(id=list(_made_ids(names)))
    return Clips(frame.assign(audio=paths), source)


def _made_ids(names: list[str]) -> Iterator[str]:
    taken, found, turns = set(names), set[str](), Counter[str]()
    for name in names:
        made = name
        while made in found or (made != name and made in taken):
            turns[name] += 1
            made = f"{name}#{turns[name] + 1}"
        found.add(made)
        yield made


def require_columns(frame: pd.DataFrame, names: tuple[str, ...], source: str) -> None:
    """Raise `UserError` for the first column that is not there."""
    for name in names:
        if name not in frame.columns:
            raise UserError(
                f"{source}: no column {name!r}; needs {', '.join(names)}, "
                f"has {', '.join(map(str, frame.columns))}"
            )
