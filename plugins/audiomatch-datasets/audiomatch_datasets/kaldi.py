"""Kaldi data folders: `wav.scp` and `text`, and `segments`, `utt2spk`, labels where they are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from audiomatch.clips import Clips
from audiomatch.datasets.audio_paths import find_audio
from audiomatch.datasets.manifest import clips_of_table
from audiomatch.datasets.tables import read_text
from audiomatch.errors import UserError, brief

Table = dict[str, tuple[int, str]]  # line and rest of the line, by its first word


def open_clips(path: Path, labelled: bool | None, _columns: Mapping[str, str] | None) -> Clips:
    """Read the utterances in the order of `segments`, else of `wav.scp`.

    Labels are those of a file `utt2label`, which Kaldi itself has not: an utterance and 1 or 0 a
    line. Paths are relative to the folder, else to the working folder. Raises `UserError` for a
    recording that is a command or inside an archive, and for an utterance without its text.
    """
    frame = read_utterances(path)
    if (path / "utt2label").is_file():
        frame["match"] = column_of(path / "utt2label", frame["id"].tolist())
    return clips_of_table(frame, path, path.name, labelled)


def read_utterances(folder: Path, base: Path | None = None) -> pd.DataFrame:
    """Return `id`, `audio`, `expected_text`, and `speaker`, `start`, `end` where they are given.

    Paths are relative to `base`, else to the folder.
    """
    recordings = read_pairs(folder / "wav.scp")
    paths = {
        name: _audio(base or folder, value, f"wav.scp, row {row}")
        for name, (row, value) in recordings.items()
    }
    if (folder / "segments").is_file():
        frame = _segments(folder / "segments", paths)
    else:
        index = [f"{row} of wav.scp" for row, _ in recordings.values()]
        frame = pd.DataFrame({"id": list(paths), "audio": list(paths.values())}, index=index)
    ids = frame["id"].tolist()
    frame["expected_text"] = column_of(folder / "text", ids)
    if (folder / "utt2spk").is_file():
        frame["speaker"] = column_of(folder / "utt2spk", ids)
    return frame


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
    return found if Path(found).exists() else find_audio(str(Path.cwd()), value)
