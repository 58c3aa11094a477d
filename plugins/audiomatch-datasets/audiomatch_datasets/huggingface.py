"""Hugging Face datasets as `save_to_disk` leaves them: Arrow streams, and JSON that names them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow

from audiomatch.clips import Clips
from audiomatch.datasets.cells import check_column_names
from audiomatch.datasets.manifest import clips_of_table
from audiomatch.errors import UserError


def open_clips(path: Path, labelled: bool | None, columns: Mapping[str, str] | None) -> Clips:
    """Read a saved dataset, or all splits of a saved dictionary of them; `split` says which."""
    splits = _json(path / "dataset_dict.json").get("splits", []) if _is_dictionary(path) else []
    parts = [_read(path / str(name)).assign(split=str(name)) for name in splits] or [_read(path)]
    frame = pd.concat(parts)
    frame.index = pd.RangeIndex(1, len(frame) + 1)
    return clips_of_table(frame, path, path.name, labelled, columns)


def _is_dictionary(path: Path) -> bool:
    return (path / "dataset_dict.json").is_file()


def _read(folder: Path) -> pd.DataFrame:
    state = _json(folder / "state.json")
    try:
        files = [folder / data["filename"] for data in state["_data_files"]]
        tables = [pyarrow.ipc.open_stream(file.read_bytes()).read_all() for file in files]
        table = pyarrow.concat_tables(tables)
    except (OSError, KeyError, TypeError, pyarrow.ArrowException) as error:
        raise UserError(f"{folder}: not as save_to_disk leaves it: {str(error)[:200]}") from None
    check_column_names(table.column_names, folder.name)
    frame: pd.DataFrame = table.to_pandas(integer_object_nulls=True, ignore_metadata=True)
    return frame


def _json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{file}: not readable as JSON: {str(error)[:200]}") from None
    if not isinstance(found, dict):
        raise UserError(f"{file}: must be an object")
    return found
