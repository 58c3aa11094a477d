"""Which columns of a table are the audio, its text, its label, and where in the file it is."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from audiomatch.datasets.cells import is_missing, label_of
from audiomatch.errors import DataWarning, UserError, brief, unknown

# What others call a column, where nobody says which it is.
SYNONYMS = {
    "audio": (
        "path", "file", "filename", "file_name", "filepath", "file_path", "audio_path",
        "audio_file", "audio_filepath", "wav",
    ),
    "expected_text": ("text", "sentence", "transcript", "transcription", "prompt"),
    "match": ("label", "score", "correct"),
    "speaker": ("client_id", "speaker_id"),
}  # fmt: skip
NAMES = ("id", *SYNONYMS, "task", "grade", "start", "end", "offset", "duration")


def name_columns(
    frame: pd.DataFrame, columns: Mapping[str, str] | None, source: str
) -> pd.DataFrame:
    """Give the columns that the core knows their names.

    A column is the one that `columns` says (ours to theirs), else that of our name, else of our
    name in another case, else the only one with a synonym; such a `match` must hold labels. Others
    keep their columns too, but for `match`: what is held out may not show it. A synonym taken is
    said by a `DataWarning`. Raises `UserError` for a column that is not there and for several
    synonyms.
    """
    asked = dict(columns or {})
    for ours, theirs in asked.items():
        if theirs not in frame.columns:
            raise _no_column(f"--columns {ours}={theirs}: {source}", theirs, frame)
        frame = _named(frame, ours, theirs)
    plain = {name: _plain(name) for name in frame.columns}
    for ours in NAMES:
        alike = [name for name, spelled in plain.items() if spelled == ours]
        if ours not in frame.columns and len(alike) == 1:
            frame = _named(frame, ours, alike[0])
    said = []
    for ours in SYNONYMS:
        found = None if ours in frame.columns else _synonym(frame, ours, source)
        if found is not None:
            frame = _named(frame, ours, found)
            said.append(f"{found} as {ours}")
    if said:
        line = f"{source}: read {', '.join(said)} (--columns OURS=THEIRS says otherwise)"
        warnings.warn(line, DataWarning, stacklevel=2)
    return frame


def _no_column(where: str, name: str, frame: pd.DataFrame) -> UserError:
    return UserError(f"{where}: {unknown('column', name, map(str, frame.columns))}")


def _plain(name: object) -> str:
    return re.sub(r"[\s-]+", "_", str(name).strip().lower())


def _named(frame: pd.DataFrame, ours: str, theirs: str) -> pd.DataFrame:
    values = frame[theirs]
    return (frame.drop(columns=theirs) if ours == "match" else frame).assign(**{ours: values})


def _synonym(frame: pd.DataFrame, ours: str, source: str) -> str | None:
    found = [name for name in frame.columns if _plain(name) in SYNONYMS[ours]]
    if ours == "match":
        found = [name for name in found if all(label_of(v) is not None for v in frame[name])]
    if len(found) > 1 and ours != "speaker":
        raise UserError(
            f"{source}: {' and '.join(found)} may each be {ours}; say which: "
            f"--columns {ours}={found[0]}"
        )
    return found[0] if len(found) == 1 else None


def segments_of(frame: pd.DataFrame, source: str) -> NDArray[np.float64] | None:
    """Return start and end of each clip in its file, in seconds, shape (n, 2); NaN if not given.

    `start` and `end`, or `start` or `offset` and `duration`; `duration` alone is that of a whole
    file. None where the table has no such columns. Raises `UserError` for what is no number.
    """
    start = next((name for name in ("start", "offset") if name in frame.columns), None)
    if start is None and "end" not in frame.columns:
        return None
    begins = _seconds(frame, start, source)  # (n,)
    if "end" in frame.columns:
        ends = _seconds(frame, "end", source)
    else:
        lasts = _seconds(frame, "duration" if "duration" in frame.columns else None, source)
        ends = np.nan_to_num(begins) + lasts
    return np.stack([begins, ends], axis=1)


def _seconds(frame: pd.DataFrame, name: str | None, source: str) -> NDArray[np.float64]:
    if name is None:
        return np.full(len(frame), np.nan)
    return np.fromiter(_numbers(frame[name], name, source), np.float64, len(frame))


def _numbers(column: pd.Series, name: str, source: str) -> Iterator[float]:
    for row, value in zip(column.index, column.tolist(), strict=True):
        if is_missing(value) or (isinstance(value, str) and not value.strip()):
            yield np.nan
            continue
        number = _float(value)
        if number is None:
            raise UserError(f"{source}, row {row}: {name} is {brief(value)}; must be in seconds")
        yield number


def _float(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None
