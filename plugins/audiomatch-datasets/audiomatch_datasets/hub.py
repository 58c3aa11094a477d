"""Datasets of the Hugging Face hub, as `hf:owner/name`: Parquet, or recordings with metadata."""

from __future__ import annotations

import re
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
from audiomatch_datasets.huggingface import frame_of, joined

# hf:owner/name, also as a URL of fsspec, hf://datasets/owner/name; with @ a branch, tag or commit.
NAME = re.compile(r"(?://?datasets/)?(?P<id>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")
METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
SECONDS = 10.0  # for an answer of the hub


@cache
def fetch(name: str) -> Path:
    """Return the folder of a dataset in the hub's cache, fetched if need be.

    Parquet files and metadata are fetched; recordings only where there are no Parquet files. A
    hub that does not answer leaves what the cache holds. Raises `UserError`.
    """
    found = NAME.fullmatch(name)
    if found is None:
        raise UserError(f"hf:{name}: must be hf:owner/name, or hf:owner/name@revision")
    folder = _snapshot(found, ["*.parquet", "*metadata.csv", "*metadata.jsonl"])
    if not _parquets(folder):
        folder = _snapshot(found, [f"*{ending}" for ending in EXTENSIONS])
    return folder


def _snapshot(named: re.Match[str], patterns: list[str]) -> Path:
    shown = f"hf:{named['id']}"
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import (
            GatedRepoError,
            HfHubHTTPError,
            LocalEntryNotFoundError,
            RepositoryNotFoundError,
            RevisionNotFoundError,
        )
    except ImportError:
        raise UserError(f"{shown}: needs pip install 'audiomatch-datasets[hub]'") from None
    try:
        return Path(
            snapshot_download(
                named["id"],
                repo_type="dataset",
                revision=named["revision"],
                allow_patterns=patterns,
                etag_timeout=SECONDS,
            )
        )
    except GatedRepoError:
        problem = "the hub asks for its terms to be accepted and a token (hf auth login)"
    except RepositoryNotFoundError:
        problem = "the hub has no such dataset, or shows it to its members alone (hf auth login)"
    except RevisionNotFoundError:
        problem = f"has no revision {named['revision']!r}"
    except LocalEntryNotFoundError:
        problem = "not in the hub's cache, and the hub is not reachable or not asked (--offline)"
    except HfHubHTTPError as error:
        problem = f"the hub refuses ({str(error).splitlines()[0]})"
    raise UserError(f"{shown}: {problem}")


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
