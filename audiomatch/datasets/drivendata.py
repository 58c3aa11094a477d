"""The layout `drivendata`: that of the literacy-screening challenge.

`train_metadata.csv` and `train_labels.csv`, the clips in `train/` or beside them; the same with
`test` for a half without labels, or with them in `test_labels.csv`. A folder stands for the half
that is wanted, the path of a metadata file for its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from audiomatch.clips import Clips
from audiomatch.datasets.manifest import require_columns
from audiomatch.datasets.tables import read_table
from audiomatch.datasets.writing import write_back
from audiomatch.errors import UserError


def is_drivendata(path: Path) -> bool:
    """Whether a path is such a folder, or the metadata file of a half, by names alone."""
    names = [f"{half}_metadata.csv" for half in ("train", "test")]
    return (path.name in names and path.is_file()) or any((path / n).is_file() for n in names)


def open_drivendata(path: Path | None, labelled: bool | None) -> Clips:
    """Read a half with or without its labels.

    Of a folder that is the labelled half `train`, or the half to predict: test where there is one,
    else train. With `labelled` None, the labelled half where there are labels. `id` is `filename`;
    the order is that of the metadata.
    """
    assert path is not None
    file, labelled = _half(path, labelled)
    path, half = file.parent, file.name.partition("_")[0]
    if not file.is_file():
        raise UserError(f"{path}: no {file.name}; the drivendata layout needs it here")
    frame = read_table(file)
    require_columns(frame, ("filename", "task", "expected_text", "grade"), file.name)
    beside, inside = path.resolve(), path.resolve() / half
    names = frame["filename"].tolist()
    frame = frame.rename(columns={"filename": "id"}).drop(columns="match", errors="ignore")
    frame["audio"] = [
        str(inside / name if os.path.isfile(inside / name) else beside / name)  # noqa: PTH113
        for name in names  # one that is too long is False there, and Path's own raises
    ]
    if labelled:
        frame["match"] = _labels(path / f"{half}_labels.csv", Clips(frame, file.name))
    return Clips(frame, file.name)


def write_drivendata(
    path: Path, target: Path, more: pd.DataFrame, only: Iterable[Any] | None = None
) -> None:
    """Write the metadata of the half without labels with columns more; see `write_back`."""
    write_back(_half(path, labelled=False)[0], target, more, only)


def _half(path: Path, labelled: bool | None) -> tuple[Path, bool]:
    """Return the metadata file of the half that is wanted, and whether with its labels."""
    named = path.name.partition("_")[0] if path.is_file() else ""
    folder = path.parent if named else path
    if labelled is None:
        labelled = (folder / f"{named or 'train'}_labels.csv").is_file()
    half = named or "train"
    if not named and not labelled and (folder / "test_metadata.csv").is_file():
        half = "test"
    return folder / f"{half}_metadata.csv", labelled


def _labels(file: Path, clips: Clips) -> list[str]:
    """Return the score of each clip, as written, in the order of the clips."""
    if not file.is_file():
        raise UserError(f"{file.parent}: no {file.name}; the labelled half needs it")
    table = read_table(file)
    require_columns(table, ("filename", "score"), file.name)
    repeated = table["filename"].duplicated()
    if repeated.any():
        row = table.index[repeated][0]
        raise UserError(f"{file.name}, row {row}: {table['filename'][row]!r} has a label already")
    scores = dict(zip(table["filename"], table["score"], strict=True))
    for position, name in enumerate(clips.ids):
        if name not in scores:
            raise UserError(f"{clips.where(position)}: no label in {file.name}")
    for row, name, score in zip(table.index, table["filename"], table["score"], strict=True):
        try:
            good = float(score) in (0.0, 1.0)
        except ValueError:
            good = False
        if not good:
            raise UserError(
                f"{file.name}, row {row} (id {name!r}): score is {score!r}; must be 0 or 1"
            )
    return [scores[name] for name in clips.ids]
