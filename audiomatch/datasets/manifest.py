"""The layout `manifest`: one table, a row a clip."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from audiomatch.clips import Clips
from audiomatch.datasets import MANIFEST_SUFFIXES, find_manifest
from audiomatch.datasets.audio_paths import find_audio
from audiomatch.datasets.cells import check_column_names, text_cells
from audiomatch.datasets.columns import name_columns, segments_of
from audiomatch.datasets.held import unpack_audio
from audiomatch.datasets.tables import read_table
from audiomatch.errors import UserError


def open_manifest(
    path: Path | None, labelled: bool | None, columns: Mapping[str, str] | None = None
) -> Clips:
    """Read a manifest, or the one in a folder, as `clips_of_table` does."""
    assert path is not None
    file = find_manifest(path)
    if file is None:
        raise UserError(f"{path}: no manifest; it must be one of {', '.join(MANIFEST_SUFFIXES)}")
    return clips_of_table(read_table(file), file.parent, file.name, labelled, columns)


def clips_of_table(
    frame: pd.DataFrame,
    folder: Path,
    source: str,
    labelled: bool | None,
    columns: Mapping[str, str] | None = None,
) -> Clips:
    """Return the clips of a table with `audio`, `expected_text`, `match` and any more columns.

    Paths are relative to `folder`; audio may also be inside the table, as in Hugging Face datasets.
    `id` is the table's own where it has one, else `audio` as written, with `#2` and so on where
    a recording comes again with another text. `columns` and synonyms: see `name_columns`; parts of
    files: see `segments_of`.
    """
    check_column_names([str(name) for name in frame.columns], source)
    frame = name_columns(frame, columns, source)
    needed = ("audio", "expected_text", "match") if labelled else ("audio", "expected_text")
    require_columns(frame, needed, source)
    withheld = False
    if labelled is False and "match" in frame.columns:
        withheld = bool(frame["match"].notna().any())
        frame = frame.drop(columns="match")
    rows = frame.index
    names, paths, held = unpack_audio(frame["audio"])

    def texts(cells: list[Any]) -> list[str]:
        return text_cells(cells, "audio", lambda i: f"{source}, row {rows[i]}", loose=False)

    base = str(folder.resolve())
    found = [find_audio(base, path) if path.strip() else "" for path in texts(paths)]
    if "id" not in frame.columns:
        made = [name or f"row {row}" for name, row in zip(texts(names), rows, strict=True)]
        frame = frame.assign(id=list(_made_ids(made)))
    clips = Clips(frame.assign(audio=pd.Series(found, rows, dtype=object)), source)
    clips.held, clips.withheld = held, withheld
    segments = segments_of(frame, source)
    return clips if segments is None else clips.with_segments(segments[:, 0], segments[:, 1])


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
            has = " ".join(", ".join(map(str, frame.columns)).split())[:200]
            hint = ", or --negatives swap,edit makes mismatches (bench, fit)"
            raise UserError(
                f"{source}: no column {name!r}; needs {', '.join(names)}, "
                f"has {has}; --columns {name}=THEIRS says "
                f"which it is{hint if name == 'match' else ''}"
            )
