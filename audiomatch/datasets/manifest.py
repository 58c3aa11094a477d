"""The layout `manifest`: one CSV, JSONL or Parquet file, a row a clip."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from audiomatch.clips import Clips
from audiomatch.datasets import MANIFEST_SUFFIXES, find_manifest
from audiomatch.datasets.tables import read_table
from audiomatch.errors import UserError
from audiomatch.files import user_path


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
    audio = frame["audio"].fillna("").astype(str).tolist()
    paths = [str((folder / user_path(name)).resolve()) if name else "" for name in audio]
    ids = frame["id"] if "id" in frame.columns else list(_made_ids(audio))
    return Clips(frame.assign(id=ids, audio=paths), source)


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
