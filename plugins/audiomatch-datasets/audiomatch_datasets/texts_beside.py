"""A folder of recordings, each with its text in a file of the same name beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from audiomatch.audio import EXTENSIONS
from audiomatch.clips import Clips
from audiomatch.datasets.manifest import clips_of_table
from audiomatch.datasets.tables import read_text
from audiomatch.errors import UserError
from audiomatch_datasets import TEXTS


def open_clips(path: Path, labelled: bool | None, columns: Mapping[str, str] | None) -> Clips:
    """Read every recording in the folder and the folders in it, in the order of their names.

    There are no labels. Raises `UserError` for a recording without its text, or with two.
    """
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in EXTENSIONS)
    names = [file.relative_to(path).as_posix() for file in files]
    texts = [_text(file) for file in files]
    frame = pd.DataFrame({"audio": names, "expected_text": texts}, index=names)
    return clips_of_table(frame, path, path.name, labelled, columns)


def _text(recording: Path) -> str:
    beside = [recording.with_suffix(suffix) for suffix in TEXTS]
    found = [file for file in beside if file.is_file()]
    if len(found) != 1:
        names = " or ".join(file.name for file in beside)
        has = "both" if found else "none"
        raise UserError(f"{recording}: must have its text beside it in {names}; has {has}")
    return " ".join(read_text(found[0]).split())
