"""Kaldi data folders: `wav.scp` and `text`, and `segments`, `utt2spk`, labels where they are."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from audiomatch.clips import Clips
from audiomatch.datasets.audio_paths import find_audio
from audiomatch.datasets.manifest import clips_of_table
from audiomatch.datasets.tables import read_text
from audiomatch.errors import DataWarning, UserError, brief
from audiomatch.files import atomic_folder

_KEYED = re.compile(r"(wav|feats|vad)\.scp$|text$|segments$|(utt|reco|spk)2\w+$")
Table = dict[str, tuple[int, str]]  # line and rest of the line, by its first word


def open_clips(path: Path, labelled: bool | None, columns: Mapping[str, str] | None) -> Clips:
    """Read the utterances in the order of `segments`, else of `wav.scp`.

    Labels are those of a file `utt2label`, which Kaldi itself has not: an utterance and 1 or 0 a
    line. Paths are relative to the folder, else to the working folder. Raises `UserError` for a
    recording that is a command or inside an archive, and for an utterance without its text.
    """
    frame = read_utterances(path)
    if (path / "utt2label").is_file():
        frame["match"] = column_of(path / "utt2label", frame["id"].tolist())
    return clips_of_table(frame, path, path.name, labelled, columns)


def write(path: Path, target: Path, more: pd.DataFrame, only: Iterable[Any] | None) -> None:
    """Write a data folder of the utterances with a file `utt2NAME` for each column of `more`.

    Of the folder's files these are written, without what belongs to others: `wav.scp`, `text`,
    `segments`, `feats.scp`, `vad.scp`, and those called `utt2…`, `reco2…` and `spk2…`. Lines are
    sorted by their first word, byte by byte, as Kaldi demands. Paths in `wav.scp` that are relative
    to the folder become absolute.
    """
    names = read_utterances(path)["id"]
    names = names if only is None else names.loc[list(only)]
    if only is not None and names.tolist() != sorted(names):
        line = f"{target}: sorted by utterance, as Kaldi demands; worst first has no meaning there"
        warnings.warn(line, DataWarning, stacklevel=2)
    with atomic_folder(target) as folder:
        for file, pairs in _written(path, set(names)).items():
            _write_pairs(folder / file, pairs)
        for column in more:
            values = more[column].reindex(names.index).set_axis(names).dropna()
            _write_pairs(folder / f"utt2{column}", values.to_dict())


def _written(path: Path, names: set[str]) -> dict[str, dict[str, str]]:
    """Return for each file of the folder what it says of the utterances `names`."""
    tables = {f.name: read_pairs(f) for f in path.iterdir() if f.is_file() and _KEYED.match(f.name)}
    pairs = {f: {name: value for name, (_, value) in table.items()} for f, table in tables.items()}
    segments = pairs.get("segments", {})
    used = {segments[name].split()[0] for name in names} if segments else names
    speakers = {speaker for name, speaker in pairs.get("utt2spk", {}).items() if name in names}
    for file, found in pairs.items():
        keys = used if file == "wav.scp" or file.startswith("reco2") else names
        if file.startswith("spk2"):
            keys = speakers
        pairs[file] = {name: value for name, value in found.items() if name in keys}
    paths = _paths(path, path)
    pairs["wav.scp"] = {name: paths[name] for name in pairs["wav.scp"]}
    for speaker, spoken in pairs.get("spk2utt", {}).items():
        pairs["spk2utt"][speaker] = " ".join(name for name in spoken.split() if name in names)
    return pairs


def _write_pairs(file: Path, pairs: Mapping[Any, Any]) -> None:
    lines = (f"{name} {pairs[name]}".rstrip() + "\n" for name in sorted(pairs))
    file.write_text("".join(lines), encoding="utf-8", newline="\n")


def read_utterances(folder: Path, base: Path | None = None) -> pd.DataFrame:
    """Return `id`, `audio`, `expected_text`, and `speaker`, `start`, `end` where they are given.

    Paths are relative to `base`, else to the folder.
    """
    paths = _paths(folder, base or folder)
    if (folder / "segments").is_file():
        frame = _segments(folder / "segments", paths)
    else:
        index = [f"{row} of wav.scp" for row, _ in read_pairs(folder / "wav.scp").values()]
        frame = pd.DataFrame({"id": list(paths), "audio": list(paths.values())}, index=index)
    ids = frame["id"].tolist()
    frame["expected_text"] = column_of(folder / "text", ids)
    if (folder / "utt2spk").is_file():
        frame["speaker"] = column_of(folder / "utt2spk", ids)
    return frame


def _paths(folder: Path, base: Path) -> dict[str, str]:
    """Return the path of each recording, those relative taken to `base`."""
    recordings = read_pairs(folder / "wav.scp").items()
    return {name: _audio(base, value, f"wav.scp, row {row}") for name, (row, value) in recordings}


def read_pairs(file: Path) -> Table:
    """Return what each line says of its first word. Raises `UserError` for one that comes twice."""
    found: Table = {}
    try:
        text = read_text(file)
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {error.strerror}") from None
    for row, line in enumerate(text.split("\n"), start=1):
        name, *rest = line.strip().split(maxsplit=1) or [""]
        if name in found:
            raise UserError(
                f"{file.name}, row {row}: {brief(name)} is there in row {found[name][0]}"
            )
        if name:
            found[name] = (row, "".join(rest))
    return found


def column_of(file: Path, ids: list[str]) -> list[str]:
    """Return what `file` says of each utterance. Raises `UserError` where it leaves one out."""
    pairs = read_pairs(file)
    missing = next((name for name in ids if name not in pairs), None)
    if missing is not None:
        raise UserError(f"{file}: no line for the utterance {brief(missing)}")
    return [pairs[name][1] for name in ids]


def _segments(file: Path, paths: Mapping[str, str]) -> pd.DataFrame:
    rows, index = [], []
    for name, (row, value) in read_pairs(file).items():
        parts = value.split()
        if len(parts) < 3 or parts[0] not in paths:
            raise UserError(
                f"{file.name}, row {row}: must be utterance, recording of wav.scp, start and end"
            )
        # An end of -1 is that of the recording.
        end = "" if parts[2] == "-1" else parts[2]
        rows.append((name, paths[parts[0]], parts[1], end))
        index.append(f"{row} of {file.name}")
    return pd.DataFrame(rows, columns=["id", "audio", "start", "end"], index=index)


def _audio(folder: Path, value: str, where: str) -> str:
    if value.endswith("|") or re.search(r"\.ark:\d+$", value):
        kind = "the output of a command" if value.endswith("|") else "inside an archive"
        raise UserError(f"{where}: the recording is {kind}, {brief(value)}; give a file")
    found = find_audio(str(folder.resolve()), value)
    there = os.path.exists(found)  # noqa: PTH110 (False for a name that is too long)
    return found if there else find_audio(str(Path.cwd()), value)
