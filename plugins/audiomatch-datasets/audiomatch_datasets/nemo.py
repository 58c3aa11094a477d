"""NeMo manifests: JSON lines with `audio_filepath`, `text`, and `offset`, `duration`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from audiomatch.clips import Clips
from audiomatch.datasets.manifest import clips_of_table
from audiomatch.datasets.tables import read_table
from audiomatch.datasets.writing import write_back

NAMES = {"audio": "audio_filepath", "expected_text": "text"}


def open_clips(path: Path, labelled: bool | None, columns: Mapping[str, str] | None) -> Clips:
    """Read a manifest; paths are relative to its folder."""
    frame = read_table(path)
    theirs = {ours: name for ours, name in NAMES.items() if name in frame.columns}
    own = {ours: name for ours, name in theirs.items() if ours not in frame.columns}
    return clips_of_table(frame, path.parent, path.name, labelled, {**own, **(columns or {})})


def write(path: Path, target: Path, more: pd.DataFrame, only: Iterable[Any] | None) -> None:
    """Write a manifest with keys more; `write_back` says how."""
    write_back(path, target, more, only)
