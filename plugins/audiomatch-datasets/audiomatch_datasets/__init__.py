"""Dataset layouts of the field; what reads each is imported when it is opened."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiomatch import hookimpl
from audiomatch.datasets import DatasetInfo, find_manifest

if TYPE_CHECKING:
    import pandas as pd

    from audiomatch.clips import Clips

__version__ = "0.2.0"

LHOTSE = re.compile(r"(^|[-_.])(cuts|supervisions)([-_.].*)?\.jsonl(\.gz)?$")
TEXTS = (".txt", ".lab")


def _opens(module: str) -> Callable[..., Clips]:
    def open_(path: Path, labelled: bool | None, columns: Mapping[str, str] | None = None) -> Clips:
        reader = importlib.import_module(f"audiomatch_datasets.{module}")
        clips: Clips = reader.open_clips(path, labelled, columns)
        return clips

    return open_


def _is_common_voice(path: Path) -> bool:
    folder = path if path.is_dir() else path.parent
    table = path if path.is_file() else path / "validated.tsv"
    if table.suffix != ".tsv" or not table.is_file() or not (folder / "clips").is_dir():
        return False
    with table.open("rb") as file:  # a table of one's own may be called like one of theirs
        return b"up_votes" in file.readline(10_000)


def _is_kaldi(path: Path) -> bool:
    return (path / "wav.scp").is_file() and (path / "text").is_file()


def _is_lhotse(path: Path) -> bool:
    files = path.iterdir() if path.is_dir() else [path]
    return any(LHOTSE.search(file.name) for file in files)


def _is_saved(path: Path) -> bool:
    return (path / "dataset_dict.json").is_file() or (path / "state.json").is_file()


def _is_repository(path: Path) -> bool:
    inside = (path / "data", path) if path.is_dir() else ()
    parquets = any((path / "data").glob("*-of-*.parquet"))
    return parquets or any(any(folder.glob("metadata.*")) for folder in inside)


def _fetch(name: str) -> Path:
    from audiomatch_datasets.hub import fetch

    return fetch(name)


def _has_texts_beside(path: Path) -> bool:
    if not path.is_dir() or find_manifest(path) or any(path.glob("t*_metadata.csv")):
        return False
    return any(file.with_suffix(suffix).is_file() for file in _recordings(path) for suffix in TEXTS)


def _recordings(path: Path) -> Iterator[Path]:
    """Yield a recording of the folder, and of each folder in it: enough to recognise them."""
    from audiomatch.audio import EXTENSIONS

    for folder in (path, *sorted(entry for entry in path.iterdir() if entry.is_dir())):
        found = (file for file in folder.iterdir() if file.suffix.lower() in EXTENSIONS)
        yield from (file for _, file in zip(range(1), found, strict=False))


def _writes(module: str, *own: str) -> Callable[..., None]:
    """Return what writes targets that end in one of `own` by the module, others as tables."""

    def write(
        path: Path, target: Path, more: pd.DataFrame, only: Iterable[Any] | None = None
    ) -> None:
        from audiomatch.datasets.tables import table_suffix

        reader = importlib.import_module(f"audiomatch_datasets.{module}")
        if table_suffix(target) in own:
            reader.write(path, target, more, only)
        else:
            _write_clips(reader.open_clips, path, target, more, only)

    return write


def _write_clips(
    open_clips: Callable[..., Clips],
    path: Path,
    target: Path,
    more: pd.DataFrame,
    only: Iterable[Any] | None,
) -> None:
    """Write the clips as a manifest, with their labels where they can be read."""
    from audiomatch.datasets.tables import write_table
    from audiomatch.datasets.writing import with_columns
    from audiomatch.errors import UserError

    try:
        clips = open_clips(path, labelled=None, columns=None)
    except UserError:  # of a label: what was scored could be read without
        clips = open_clips(path, labelled=False, columns=None)
    write_table(target, with_columns(clips.frame, more, only))


@hookimpl(tryfirst=True)
def audiomatch_datasets() -> list[DatasetInfo]:
    """Offer the layouts; those that say more of a folder stand first."""
    return [
        DatasetInfo(
            "speechocean762",
            "speechocean762 as published: WAVE/, train/, test/, resource/scores.json",
            recognises=lambda path: (path / "resource" / "scores.json").is_file(),
            open=_opens("speechocean"),
            columns=True,
            write=_writes("speechocean"),
        ),
        DatasetInfo(
            "common-voice",
            "Common Voice: clips/ and validated.tsv, invalidated.tsv, or one .tsv of them",
            recognises=_is_common_voice,
            open=_opens("common_voice"),
            write=_writes("common_voice", ".tsv"),
        ),
        DatasetInfo(
            "nemo",
            "NeMo manifest: JSON lines in a .json, with audio_filepath and text",
            recognises=lambda path: path.is_file() and path.name.lower().endswith(".json"),
            open=_opens("nemo"),
            columns=True,
            write=_writes("nemo", ".json", ".jsonl"),
            endings=(".json",),
        ),
        DatasetInfo(
            "kaldi",
            "Kaldi folder: wav.scp, text, and segments, utt2spk, utt2label where they are",
            recognises=_is_kaldi,
            open=_opens("kaldi"),
            write=_writes("kaldi", ""),
            endings=("",),
        ),
        DatasetInfo(
            "lhotse",
            "Lhotse cuts, or supervisions with their recordings, .jsonl or .jsonl.gz",
            recognises=_is_lhotse,
            open=_opens("lhotse"),
            columns=True,
            write=_writes("lhotse", ".jsonl"),
        ),
        DatasetInfo(
            "huggingface",
            "Hugging Face dataset, saved by save_to_disk",
            recognises=_is_saved,
            open=_opens("huggingface"),
            columns=True,
            write=_writes("huggingface", "", ".parquet", ".csv", ".tsv", ".jsonl"),
            endings=("",),
        ),
        DatasetInfo(
            "huggingface-hub",
            "repository of the Hugging Face hub, hf:owner/name[@revision], or a copy of one",
            recognises=_is_repository,
            open=_opens("hub"),
            columns=True,
            write=_writes("hub"),
            scheme="hf",
            fetch=_fetch,
        ),
        DatasetInfo(
            "excel",
            "first sheet of an .xlsx",
            recognises=lambda path: path.is_file() and path.suffix.lower() == ".xlsx",
            open=_opens("excel"),
            columns=True,
            write=_writes("excel", ".xlsx"),
            endings=(".xlsx",),
        ),
        DatasetInfo(
            "texts-beside",
            "folder of recordings, each with its text beside it: a.wav and a.txt or a.lab",
            recognises=_has_texts_beside,
            open=_opens("texts_beside"),
            write=_writes("texts_beside"),
        ),
    ]
