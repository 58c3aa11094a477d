"""Hugging Face datasets as `save_to_disk` leaves them: Arrow streams, and JSON that names them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow
from pyarrow import parquet

from audiomatch.clips import Clips
from audiomatch.datasets.cells import check_column_names
from audiomatch.datasets.manifest import clips_of_table
from audiomatch.datasets.tables import table_suffix, write_table
from audiomatch.datasets.writing import append_columns
from audiomatch.errors import UserError
from audiomatch.files import atomic_file, atomic_folder

DICTIONARY = "dataset_dict.json"
DATA = "data-00000-of-00001.arrow"


def open_clips(path: Path, labelled: bool | None, columns: Mapping[str, str] | None) -> Clips:
    """Read a saved dataset, or all splits of a saved dictionary of them; `split` says which."""
    return clips_of_table(frame_of(joined(_tables(path))), path, path.name, labelled, columns)


def write(path: Path, target: Path, more: pd.DataFrame, only: Iterable[Any] | None) -> None:
    """Write a saved dataset with columns more, or all splits of one as a table.

    Splits stay apart in a saved dataset; each keeps the order of `only`.
    """
    found = _with_columns(_tables(path), more, only)
    ending = table_suffix(target)
    if ending == ".parquet":
        with atomic_file(target) as temporary:
            parquet.write_table(joined(found), temporary)
    elif ending:
        write_table(target, frame_of(joined(found)))
    else:
        with atomic_folder(target) as folder:
            for split, table in found.items():
                (folder / split).mkdir(exist_ok=True)
                _save(path / split, folder / split, table)
            if "" not in found:
                (folder / DICTIONARY).write_bytes((path / DICTIONARY).read_bytes())


def _with_columns(
    tables: Mapping[str, pyarrow.Table], more: pd.DataFrame, only: Iterable[Any] | None
) -> dict[str, pyarrow.Table]:
    """Return the tables, whose rows are counted through, with columns more."""
    rows = None if only is None else list(only)
    found, before = {}, 0
    for split, table in tables.items():
        own = more.set_axis(more.index - before)
        kept = rows and [row - before for row in rows if 0 < row - before <= len(table)]
        found[split] = append_columns(table, own, kept)
        before += len(table)
    return found


def _save(source: Path, folder: Path, table: pyarrow.Table) -> None:
    """Write `table` and what `save_to_disk` says of it, with the types of columns more."""
    info, state = _json(source / "dataset_info.json"), _json(source / "state.json")
    if info.get("features"):
        made = {name: _feature(table.schema.field(name).type) for name in table.column_names}
        info["features"] = {name: info["features"].get(name, made[name]) for name in made}
        # The schema's own copy of the features lacks the columns more.
        table = table.replace_schema_metadata(None)
    state |= {"_data_files": [{"filename": DATA}], "_fingerprint": uuid.uuid4().hex[:16]}
    with pyarrow.ipc.new_stream(folder / DATA, table.schema) as stream:
        stream.write_table(table)
    for name, content in (("dataset_info.json", info), ("state.json", state)):
        (folder / name).write_text(json.dumps(content, indent=2), encoding="utf-8")


def _feature(kind: pyarrow.DataType) -> dict[str, str]:
    return {"dtype": "float64" if kind == pyarrow.float64() else "string", "_type": "Value"}


def _tables(path: Path) -> dict[str, pyarrow.Table]:
    """Return the table of each split, or of "" where they are not several."""
    splits = _json(path / DICTIONARY).get("splits") if (path / DICTIONARY).is_file() else None
    if splits and not (isinstance(splits, list) and all(isinstance(one, str) for one in splits)):
        raise UserError(f"{path / DICTIONARY}: splits must be a list of names")
    return {str(name): _read(path / str(name)) for name in splits or [""]}


def joined(tables: Mapping[str, pyarrow.Table]) -> pyarrow.Table:
    """Return the rows of all splits; a column `split` says which they are of."""
    if "" in tables:
        return tables[""]
    parts = [
        table.select([name for name in table.column_names if name != "split"]).append_column(
            "split", pyarrow.array([split] * len(table), pyarrow.string())
        )
        for split, table in tables.items()
    ]
    return pyarrow.concat_tables(parts, promote_options="permissive")


def frame_of(table: pyarrow.Table) -> pd.DataFrame:
    """Return the rows of a table, counted from 1."""
    frame: pd.DataFrame = table.to_pandas(integer_object_nulls=True, ignore_metadata=True)
    return frame.set_axis(pd.RangeIndex(1, len(frame) + 1))


def _read(folder: Path) -> pyarrow.Table:
    state = _json(folder / "state.json")
    try:
        files = [folder / data["filename"] for data in state["_data_files"]]
        tables = [pyarrow.ipc.open_stream(file.read_bytes()).read_all() for file in files]
        table = pyarrow.concat_tables(tables)
        table.validate(full=True)
    except (OSError, KeyError, TypeError, pyarrow.ArrowException) as error:
        raise UserError(f"{folder}: not as save_to_disk leaves it: {str(error)[:200]}") from None
    check_column_names(table.column_names, folder.name)
    return table


def _json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{file}: not readable as JSON: {str(error)[:200]}") from None
    if not isinstance(found, dict):
        raise UserError(f"{file}: must be an object")
    return found
