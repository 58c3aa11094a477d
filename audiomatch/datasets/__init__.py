"""Datasets: from a path and a layout to `Clips`."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiomatch.errors import DataWarning, PluginError, UserError, blame_on, unknown
from audiomatch.files import user_path

if TYPE_CHECKING:
    import pandas as pd

    from audiomatch.clips import Clips

DEFAULT = "mini-screener"
MANIFEST_SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")


@dataclass(frozen=True)
class DatasetInfo:
    """A dataset layout that a plugin offers; light, the reading code is imported by `open`.

    Attributes:
        name: what `--dataset` takes.
        summary: one line for `audiomatch datasets`.
        recognises: whether a path is of this layout, by names alone.
        open: `open(path, labelled)` gives the clips; `path` is None for a dataset that ships with
            its plugin. With `labelled` the part that has labels, with False the part to predict,
            without labels, with None the part that has labels or, where none has, the part to
            predict.
        needs_path: False for a dataset that ships with its plugin.
        prediction_columns: names of id and probability in what `predict` writes.
        tables: the files of a folder of this layout that no output may overwrite, else all that
            are in it.
        columns: whether `open` takes a third argument, which of the table's columns are ours (ours
            to theirs, or None), as `clips_of_table` does.
        write: `write(path, target, more, only)` writes the dataset into `target` in its own format
            with the columns of the data frame `more`, whose index is that of the clips' frame; rows
            that are not in it have empty cells. `only` are the rows to write, in that order; None
            for all. None where a layout has no table of its own.
        scheme: what stands before the colon in DATA that is not on this machine, as in `hf:`.
        fetch: `fetch(rest)` brings what is named behind the colon to this machine and returns its
            path, of this layout.
        endings: those that the `target` of `write` may have beside those of tables; "" for a
            folder.
    """

    name: str
    summary: str
    recognises: Callable[[Path], bool]
    open: Callable[..., Clips]
    needs_path: bool = True
    prediction_columns: tuple[str, str] = ("id", "p_match")
    tables: Callable[[Path], Iterable[Path]] = Path.iterdir
    columns: bool = False
    write: Callable[[Path, Path, pd.DataFrame, Iterable[Any] | None], None] | None = None
    endings: tuple[str, ...] = ()
    scheme: str = ""
    fetch: Callable[[str], Path] | None = None


def find_manifest(path: Path) -> Path | None:
    """Return the manifest that `path` is or, as a folder, holds."""
    if path.is_dir():
        names = (
            f"manifest{suffix}{packed}" for packed in ("", ".gz") for suffix in MANIFEST_SUFFIXES
        )
        return next((path / name for name in names if (path / name).is_file()), None)
    return path if path.name.lower().removesuffix(".gz").endswith(MANIFEST_SUFFIXES) else None


def choose_dataset(
    layouts: Mapping[str, DatasetInfo], data: str | None, name: str | None
) -> tuple[DatasetInfo, Path | None]:
    """Find the layout for `data` (a path or None), or the one outright named. `UserError` if none.

    Without either it is `mini-screener`.
    """
    fetched = _fetched(layouts, data)
    if fetched is not None:
        return fetched
    path = user_path(data) if data is not None else None
    if name is None and path is None:
        name = DEFAULT
    if name is not None:
        if name not in layouts:
            raise unknown("dataset", name, layouts)
        info = layouts[name]
        if info.needs_path and path is None:
            raise UserError(f"dataset {name!r} needs DATA, the path of its file or folder")
        if not info.needs_path and path is not None:
            raise UserError(f"dataset {name!r} ships with its plugin and takes no DATA path")
    if path is not None and not os.path.exists(path):  # noqa: PTH110 (Path's own raises)
        hint = f"; for the dataset of that name: --dataset {data}" if data in layouts else ""
        raise UserError(f"no such file or folder: {data}{hint}")
    if path is not None and not (path.is_file() or path.is_dir()):
        raise UserError(f"{data}: is no regular file; a pipe or device cannot be read as DATA")
    if name is not None:
        return layouts[name], path
    assert path is not None
    for info in layouts.values():
        if info.needs_path and _recognises(info, path):
            return info, path
    raise UserError(
        f"{data}: no known layout; give a manifest (.csv, .tsv, .jsonl or .parquet), a folder with "
        "manifest.csv or train_metadata.csv, or say --dataset NAME (see `audiomatch datasets`); "
        "for Kaldi, NeMo, Lhotse, … pip install 'audiomatch-toolkit[datasets]'"
    )


def _fetched(
    layouts: Mapping[str, DatasetInfo], data: str | None
) -> tuple[DatasetInfo, Path] | None:
    """Return the layout whose scheme `data` begins with, and where it is now; else None."""
    scheme, colon, rest = (data or "").partition(":")
    if not colon or os.path.exists(data or ""):  # noqa: PTH110 (Path's own raises)
        return None
    for info in layouts.values():
        if info.fetch is not None and info.scheme == scheme:
            return info, info.fetch(rest)
    return None


def _recognises(info: DatasetInfo, path: Path) -> bool:
    """Ask a layout, and go on without it, with a warning, where its own code fails."""
    try:
        with blame_on(f"dataset {info.name!r} cannot tell whether {path} is its own"):
            return bool(info.recognises(path))
    except PluginError as error:
        warnings.warn(str(error), DataWarning, stacklevel=3)
        return False


def input_paths(
    layouts: Mapping[str, DatasetInfo], data: str | None, name: str | None
) -> list[Path]:
    """Return the file, or the folder and its tables, that `data` names; none for a shipped one."""
    path = user_path(data) if data is not None else None
    if path is None or not path.is_dir():
        return [path] if path is not None and path.exists() else []
    info, _ = choose_dataset(layouts, data, name)
    return [path, *info.tables(path)]
