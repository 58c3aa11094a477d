"""Lhotse manifests, read as the JSON lines they are: cuts, or supervisions and recordings."""

from __future__ import annotations

import filecmp
import math
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from audiomatch.clips import Clips
from audiomatch.datasets.json_lines import json_rows
from audiomatch.datasets.manifest import clips_of_table
from audiomatch.datasets.tables import json_line, read_text, write_bytes
from audiomatch.errors import DataWarning, UserError, brief
from audiomatch_datasets import LHOTSE

Row = dict[str, Any]


def open_clips(path: Path, labelled: bool | None, columns: Mapping[str, str] | None) -> Clips:
    """Read cuts, or supervisions whose recordings are in the file of that name beside them.

    A clip is a supervision: its text, its speaker, its part of the recording; what is in `custom`
    is columns. Labels are `match` there, or what `columns` says.
    """
    file = _manifest(path)
    supervised = list(_supervisions(file) if "supervisions" in file.name else _cuts(file))
    rows = []
    for row, recording, supervision, start in supervised:
        where = f"{file.name}, row {row}"
        try:
            rows.append(_clip(recording, supervision, start, where))
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise UserError(f"{where}: not as Lhotse writes it ({error!r})") from None
    frame = pd.DataFrame(rows, index=_labels([row for row, *_ in supervised]), dtype=object)
    if frame.empty:
        raise UserError(f"{file}: no supervisions")
    return clips_of_table(frame, file.parent, file.name, labelled, columns)


def write(path: Path, target: Path, more: pd.DataFrame, only: Iterable[Any] | None) -> None:
    """Write the cuts, or the supervisions and their recordings, with `more` in `custom`.

    A cut of which no supervision is left is left out.
    """
    file = _manifest(path)
    cuts = "supervisions" not in file.name
    lines = dict(_rows(file))
    held = [(n, one) for n, line in lines.items() for one in (_of_cut(line) if cuts else [line])]
    rows = dict(zip(_labels([number for number, _ in held]), held, strict=True))
    answers = {label: one.dropna().to_dict() for label, one in more.astype(object).iterrows()}
    written: dict[int, list[Row]] = {}
    for label in rows if only is None else only:
        number, supervision = rows[label]
        custom = {**(supervision.get("custom") or {}), **answers.get(label, {})}
        written.setdefault(number, []).append(
            {**supervision, "custom": custom} if custom else supervision
        )
    if cuts:
        found = [{**lines[number], "supervisions": kept} for number, kept in written.items()]
    else:
        found = [one for kept in written.values() for one in kept]
        _copy_recordings(file, target)
    write_bytes(target, "".join(map(json_line, found)).encode())


def _copy_recordings(file: Path, target: Path) -> None:
    """Put the recordings of the supervisions `file` beside `target`, where nothing else is."""
    source, beside = _recordings(file), _recordings(target)
    if beside == target or (beside.exists() and not filecmp.cmp(source, beside, shallow=False)):
        line = f"{target}: its recordings are in {source} and not beside it"
        warnings.warn(line, DataWarning, stacklevel=2)
    elif not beside.exists():
        write_bytes(beside, read_text(source).encode())


def _recordings(file: Path) -> Path:
    return file.with_name(file.name.replace("supervisions", "recordings"))


def _of_cut(cut: Row) -> list[Row]:
    return list(cut.get("supervisions") or ())


def _labels(lines: list[int]) -> list[int | str]:
    """Return the line of each supervision; after the first of a line, also which it is there."""
    turns: dict[int, int] = {}
    labels: list[int | str] = []
    for line in lines:
        turns[line] = turns.get(line, 0) + 1
        labels.append(line if turns[line] == 1 else f"{line}, supervision {turns[line]}")
    return labels


def _manifest(path: Path) -> Path:
    if path.is_file():
        return path
    files = sorted(file for file in path.iterdir() if LHOTSE.search(file.name))
    found = [file for file in files if "cuts" in file.name] or files
    if len(found) != 1:
        names = ", ".join(file.name for file in found)
        raise UserError(f"{path}: holds several manifests, {names[:200]}; name one of them")
    return found[0]


def _rows(file: Path) -> Iterator[tuple[int, Row]]:
    try:
        return json_rows(read_text(file), file.name)
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {error.strerror}") from None


def _cuts(file: Path) -> Iterator[tuple[int, Row, Row, float]]:
    """Yield line, recording, supervision, and where in the recording that begins."""
    for row, cut in _rows(file):
        if not isinstance(cut.get("recording"), dict):
            kind = cut.get("type", "a cut without a recording")
            raise UserError(f"{file.name}, row {row}: is {brief(kind)}; must be a MonoCut")
        for supervision in _of_cut(cut):
            begins = float(cut.get("start") or 0) + float(supervision.get("start") or 0)
            yield row, cut["recording"], supervision, begins


def _supervisions(file: Path) -> Iterator[tuple[int, Row, Row, float]]:
    beside = _recordings(file)
    if not beside.is_file():
        raise UserError(f"{file}: its recordings must be beside it in {beside.name}")
    recordings = {str(recording.get("id")): recording for _, recording in _rows(beside)}
    for row, supervision in _rows(file):
        name = str(supervision.get("recording_id"))
        if name not in recordings:
            raise UserError(f"{file.name}, row {row}: {beside.name} has no recording {brief(name)}")
        yield row, recordings[name], supervision, float(supervision.get("start") or 0)


def _clip(recording: Row, supervision: Row, start: float, where: str) -> Row:
    sources = recording["sources"]
    if len(sources) != 1 or sources[0]["type"] != "file" or len(sources[0]["channels"]) != 1:
        raise UserError(f"{where}: the recording must be one file of one channel")
    lasts = float(supervision["duration"])
    whole = start == 0 and math.isclose(lasts, float(recording["duration"]), abs_tol=1e-3)
    return {
        **(supervision.get("custom") or {}),
        "id": supervision["id"],
        "audio": sources[0]["source"],
        "expected_text": supervision.get("text"),
        "speaker": supervision.get("speaker"),
        "start": None if whole else start,
        "end": None if whole else start + lasts,
    }
