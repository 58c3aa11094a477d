"""Datasets of the Hugging Face hub, as `hf:owner/name`: Parquet, or recordings with metadata."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

import pandas as pd
import pyarrow
from pyarrow import parquet

from audiomatch.audio import EXTENSIONS
from audiomatch.clips import Clips
from audiomatch.datasets.manifest import clips_of_table
from audiomatch.datasets.tables import read_table
from audiomatch.errors import UserError
from audiomatch.hub import Repository
from audiomatch_datasets.huggingface import frame_of, joined

METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")


@cache
def fetch(name: str) -> Path:
    """Return the folder of a dataset in the hub's cache, fetched if need be.

    Parquet files and metadata are fetched; recordings only where there are no Parquet files. A
    hub that does not answer leaves what the cache holds. Raises `UserError`.
    """
    repository = Repository.parse(name, "dataset")
    folder = repository.snapshot(["*.parquet", "*metadata.csv", "*metadata.jsonl"])
    if not _parquets(folder):
        folder = repository.snapshot([f"*{ending}" for ending in EXTENSIONS])
    return folder


def open_clips(path: Path, labelled: bool | None, columns: Mapping[str, str] | None) -> Clips:
    """Read the Parquet files of a repository, else its metadata; `split` says where a row is of.

    A split is what the name of a Parquet file begins with, as in `data/train-00000-of-00002`, or
    the folder of metadata.
    """
    files = _parquets(path)
    frame = frame_of(joined(_by_split(files))) if files else _described(path, _metadata(path))
    return clips_of_table(frame, path, path.name, labelled, columns)


def _parquets(path: Path) -> list[Path]:
    return sorted(file for file in path.rglob("*.parquet") if file.name not in METADATA)


def _metadata(path: Path) -> list[Path]:
    return sorted(file for file in path.rglob("metadata.*") if file.name in METADATA)


def _by_split(files: Iterable[Path]) -> dict[str, pyarrow.Table]:
    parts: dict[str, list[pyarrow.Table]] = {}
    for file in files:
        try:
            table = parquet.read_table(file)
        except (OSError, pyarrow.ArrowException) as error:
            raise UserError(f"{file}: not readable as Parquet: {str(error)[:200]}") from None
        parts.setdefault(file.name.partition("-")[0].removesuffix(".parquet"), []).append(table)
    return {
        split: pyarrow.concat_tables(tables, promote_options="permissive")
        for split, tables in parts.items()
    }


def _described(path: Path, files: list[Path]) -> pd.DataFrame:
    """Return the rows of all metadata, with their recordings relative to `path`."""
    parts = []
    for file in files:
        table = read_table(file)
        folder = file.parent.relative_to(path)
        if "file_name" not in table.columns:
            raise UserError(f"{file}: no column 'file_name', which names the recordings")
        audio = [str(folder / str(name)) for name in table["file_name"]]
        split = [] if file.parent == path else [folder.parts[0]] * len(table)
        more = {"split": split} if split and "split" not in table.columns else {}
        parts.append(table.drop(columns="file_name").assign(audio=audio, **more))
    return pd.concat(parts).set_axis(pd.RangeIndex(1, sum(map(len, parts)) + 1))
