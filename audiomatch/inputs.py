"""What callers hand over as data, as `Clips`: a path, a data frame, or samples in memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from audiomatch import plugins
from audiomatch.audio import SAMPLE_RATE, Recording, sound_digest
from audiomatch.clips import Clips
from audiomatch.datasets import DEFAULT, DatasetInfo, choose_dataset
from audiomatch.datasets.held import HeldFolder, is_packed
from audiomatch.datasets.manifest import clips_of_table
from audiomatch.errors import ClipError, UserError
from audiomatch.files import user_path
from audiomatch.intake import Intake, LeftOut, admit, leave_out
from audiomatch.matcher import Run

Clip = tuple[ArrayLike, float, str] | tuple[ArrayLike, float, str, int]
Data = str | os.PathLike[str] | Clips | pd.DataFrame | Iterable[Clip]

# The value of full scale, and of silence, in the integer formats of audio.
_SCALES = {"int16": (2.0**15, 0.0), "int32": (2.0**31, 0.0), "uint8": (128.0, 128.0)}
_HIGHEST_RATE = 1_000_000
_SHOWN = 10


@dataclass(frozen=True)
class Opened:
    """Data that a caller named or handed over.

    Attributes:
        clips: the clips, not yet decoded.
        dataset: the name of their layout, else `clips`, `data frame` or `memory`.
        source: where they are: the absolute path, or the name again.
        columns: the names of id and probability where predictions are written to a file.
    """

    clips: Clips
    dataset: str
    source: str
    columns: tuple[str, str] = ("id", "p_match")


def open_data(
    data: Data | None,
    labelled: bool | None,
    dataset: str | None = None,
    columns: Mapping[str, str] | None = None,
) -> Opened:
    """Return the clips of `data`; raises `UserError`.

    Args:
        data: a path as DATA on the command line; the name of a dataset that ships with its plugin,
            as text where no file has it; `Clips`; a data frame with `audio`, `expected_text` and,
            where labelled, `match`, paths relative to the working folder; or clips in memory, each
            (samples, rate, text) or (samples, rate, text, match). None for `dataset` alone.
        labelled: as `DatasetInfo.open` takes it.
        dataset: the layout of a path, else told by the path.
        columns: which columns of a table are ours (ours to theirs), see `name_columns`.
    """
    if data is None or isinstance(data, str | os.PathLike):
        return _of_path(data, labelled, dataset, columns)
    if dataset is not None:
        raise UserError(f"dataset {dataset!r} is the layout of a path; give a path")
    if columns and not isinstance(data, pd.DataFrame):
        raise UserError("columns are those of a table or a data frame")
    if isinstance(data, Clips):
        clips, kind = data, "clips"
        if labelled:
            _ = clips.labels  # raises where there are none
        elif labelled is False:
            clips = clips.unlabelled()
    elif isinstance(data, pd.DataFrame):
        clips, kind = _of_frame(data, labelled, columns), "data frame"
    else:
        clips, kind = _of_memory(data, labelled), "memory"
    if not len(clips):
        raise UserError(f"{clips.source}: no clips")
    return Opened(clips, kind, kind)


def take_in(
    data: Data | None,
    run: Run,
    labelled: bool | None,
    *,
    dataset: str | None = None,
    columns: Mapping[str, str] | None = None,
    skip_bad: bool = False,
    limit: int | None = None,
    refuses: Callable[[Clips], list[str | None]] | None = None,
) -> tuple[Intake, Opened]:
    """Open the data and check its clips; those left out by `skip_bad` are told to the progress.

    `refuses` says of each clip why it cannot be used even so, None where it can.
    """
    opened = open_data(data, labelled, dataset, columns)
    admitted = opened.clips.admitted and limit is None
    with nullcontext() if admitted else offering_skip_bad():
        intake = Intake(opened.clips) if admitted else admit(opened.clips, run, skip_bad, limit)
        if refuses is not None:
            clips, bad = leave_out(intake.clips, refuses(intake.clips), skip_bad)
            intake = replace(intake, clips=clips, skipped=[*intake.skipped, *bad])
    say_skipped(run, intake.skipped)
    _say(run, "used, but to be looked at:", intake.warnings)
    return intake, opened


@contextmanager
def offering_skip_bad() -> Iterator[None]:
    """Add to what is said of a bad clip how to go on without it."""
    try:
        yield
    except ClipError as error:
        raise ClipError(f"{error}; --skip-bad goes on without") from None


def say_skipped(run: Run, skipped: Sequence[LeftOut]) -> None:
    """Tell the progress which clips were left out, and why."""
    count = len(skipped)
    head = f"left out {count} clip{'s' * (count > 1)} that cannot be used:"
    _say(run, head, list(map(str, skipped)))


def _say(run: Run, head: str, lines: list[str]) -> None:
    """Tell the progress some lines and how many more there are; nothing where there are none."""
    for line in [head, *(f"  {line}" for line in lines[:_SHOWN])] if lines else ():
        run.progress.say(line)
    if len(lines) > _SHOWN:
        run.progress.say(f"  and {len(lines) - _SHOWN} more")


def shipped_dataset(data: Data | None, dataset: str | None) -> str | None:
    """Return the dataset that ships with its plugin and is meant, None where it is a path."""
    if data is None:
        return dataset or DEFAULT
    layouts = plugins.registry().datasets()
    named = isinstance(data, str) and data in layouts and not layouts[data].needs_path
    return str(data) if named and dataset is None and not user_path(str(data)).exists() else None


def find_layout(
    data: str | os.PathLike[str] | None, dataset: str | None
) -> tuple[DatasetInfo, Path | None]:
    """Return the layout of a path or a dataset's name, and the path. Raises `UserError`."""
    shipped = shipped_dataset(data, dataset)
    if shipped is not None:
        data, dataset = None, shipped
    layouts = plugins.registry().datasets()
    return choose_dataset(layouts, None if data is None else os.fspath(data), dataset)


def _of_path(
    data: str | os.PathLike[str] | None,
    labelled: bool | None,
    dataset: str | None,
    columns: Mapping[str, str] | None,
) -> Opened:
    info, path = find_layout(data, dataset)
    if columns and not info.columns:
        raise UserError(f"--columns: the layout {info.name!r} has columns of its own")
    clips = info.open(path, labelled, columns) if columns else info.open(path, labelled)
    if path is None:
        return Opened(clips, info.name, info.name, info.prediction_columns)
    return Opened(clips, info.name, str(path.resolve()), info.prediction_columns)


def _of_frame(
    frame: pd.DataFrame, labelled: bool | None, columns: Mapping[str, str] | None
) -> Clips:
    audios = frame.get((columns or {}).get("audio", "audio"), ())
    for row, audio in zip(frame.index, audios, strict=False):
        path = isinstance(audio, str | os.PathLike | float | None)  # NaN: an empty cell
        if not path and not is_packed(audio):
            raise UserError(
                f"data frame, row {row}: audio is a {type(audio).__name__}; must be a path "
                "(samples: give a list of (samples, rate, text))"
            )
    return clips_of_table(frame, Path.cwd(), "data frame", labelled, columns)


def _of_memory(items: Iterable[Clip], labelled: bool | None) -> Clips:
    """Write each clip into a float WAV file, which lives as long as the clips: matchers read files.

    Clips are numbered from 0, as Python does.
    """
    folder = HeldFolder()
    rows = [_row(item, number, folder.path) for number, item in enumerate(items)]
    missing = next((i for i, row in enumerate(rows) if "match" not in row), None)
    some = labelled is None and any("match" in row for row in rows)
    if missing is not None and (labelled or some):
        raise UserError(
            f"clips in memory, row {missing}: no match; must be (samples, rate, text, match)"
        )
    frame = pd.DataFrame(rows, columns=["id", "audio", "expected_text", "match"])
    if labelled is not True and frame["match"].isna().any():
        labelled = False
    clips = clips_of_table(frame, folder.path, "clips in memory", labelled)
    clips.held = (folder,)
    return clips


def _row(item: Any, number: int, folder: Path) -> dict[str, Any]:
    where = f"clips in memory, row {number}"
    if not isinstance(item, tuple | list) or len(item) not in (3, 4):
        raise UserError(f"{where}: must be (samples, rate, text) or (samples, rate, text, match)")
    samples, rate, text = item[:3]
    if not isinstance(text, str):
        raise UserError(f"{where}: the text is a {type(text).__name__}; must be a str")
    file = _write_samples(samples, rate, folder / f"{number:06}.wav", where)
    row = {"id": f"clip-{number}", "audio": str(file), "expected_text": text}
    return row if len(item) == 3 else {**row, "match": item[3]}


def _write_samples(samples: Any, rate: Any, file: Path, where: str) -> Path:
    """Write `samples` as a WAV file of float32.

    The file holds the samples alone, no time of writing, so that equal samples have equal digests.
    `where` names them in the `UserError` for what is no audio.
    """
    from scipy.io import wavfile

    wavfile.write(file, _checked_rate(rate, where), _full_scale_one(samples, where))
    return file


def _checked_rate(rate: Any, where: str) -> int:
    number = isinstance(rate, int | float | np.integer | np.floating) and not isinstance(rate, bool)
    if not number or not 1 <= rate <= _HIGHEST_RATE or rate != int(rate):
        raise UserError(
            f"{where}: the rate is {rate!r}; must be a whole number of samples a second"
        )
    return int(rate)


def _full_scale_one(samples: Any, where: str) -> NDArray[np.float32]:
    """Return samples of shape (n,) or (n, channels) as float32, full scale 1."""
    try:
        array = np.asarray(samples)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"{where}: the samples are no array: {error}") from None
    if array.dtype.kind != "f" and array.dtype.name not in _SCALES:
        raise UserError(
            f"{where}: the samples are of type {array.dtype}; must be float in [-1, 1], int16, "
            "int32 or uint8"
        )
    channels_first = array.ndim == 2 and array.shape[1] > max(array.shape[0], 1)
    if array.ndim not in (1, 2) or channels_first:
        hint = "; transpose it" if channels_first else ""
        raise UserError(
            f"{where}: the samples have shape {array.shape}; must be (samples,) or "
            f"(samples, channels){hint}"
        )
    scale, silence = _SCALES.get(array.dtype.name, (1.0, 0.0))
    return ((array - silence) / scale if scale != 1.0 else array).astype(np.float32)


def one_clip(
    audio: Any,
    text: str,
    rate: float | None = None,
    *,
    task: str = "",
    grade: str = "",
    say: Callable[[str], None],
) -> Intake:
    """Take in one clip: a file, or samples with their `rate`; `say` hears what is odd about it.

    Raises `UserError`.
    """
    if not isinstance(text, str) or not text.strip():
        raise UserError("TEXT is empty; say what the clip should say")
    held: tuple[object, ...] = ()
    if isinstance(audio, str | os.PathLike):
        if rate is not None:
            raise UserError("rate is that of samples; a file says its own")
        file = user_path(audio)
    else:
        folder = HeldFolder()
        held = (folder,)
        file = _write_samples(audio, rate, folder.path / "clip.wav", "the clip")
    try:
        samples, warnings = Recording(file).decode()
    except ClipError as error:
        raise ClipError(str(error).replace(str(file), "the clip") if held else error) from None
    warnings = [f"{'the clip' if held else file.name} {warning}" for warning in warnings]
    for warning in warnings:
        say(warning)
    row = {"id": file.name, "audio": str(file.resolve()), "expected_text": text}
    clips = Clips(pd.DataFrame([{**row, "task": task, "grade": grade}]), source="one clip")
    clips.held = held
    facts = [len(samples) / SAMPLE_RATE], clips.digests, [sound_digest(samples)]
    return Intake(clips.with_audio_facts(*facts), warnings=warnings)
