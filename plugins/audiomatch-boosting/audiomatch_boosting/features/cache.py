"""Audio features of many clips: computed once, in parallel, and kept."""

from __future__ import annotations

import hashlib
import inspect
import uuid
import warnings
from collections.abc import Generator
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import joblib  # type: ignore[import-untyped]
import numpy as np
from numpy.typing import NDArray

import audiomatch.audio
from audiomatch import ClipError
from audiomatch.audio import load_audio
from audiomatch_boosting.features import audio, frames, pitch, speech

if TYPE_CHECKING:  # pandas would slow the start of every worker
    from audiomatch import Run
    from audiomatch.clips import Clips

KEPT = np.dtype("<f4")
FEW = 24  # clips; starting processes costs more than computing so many here


@cache
def audio_columns() -> tuple[str, ...]:
    """Return the names of the audio features, in the order they are kept."""
    return tuple(audio.audio_features(np.zeros(1, np.float32)))


@cache
def code_digest() -> str:
    """Return a digest of the code that decides the features; any change makes a new cache."""
    modules = (audiomatch.audio, frames, speech, pitch, audio)
    source = "".join(inspect.getsource(module) for module in modules)
    return hashlib.sha256(source.encode()).hexdigest()[:16]


def audio_table(clips: Clips, run: Run) -> NDArray[np.float32]:
    """Return the audio features of `clips`, shape (n, features), columns as `audio_columns`.

    What is not in `run.cache` yet is computed by `run.workers` processes and put there, a file
    a clip under the digest of the audio's bytes: equal audio is computed once, and processes that
    run side by side at worst compute a clip twice. Raises `ClipError` that names the clip.
    """
    folder = run.cache / "boosting" / f"audio-{code_digest()}"
    table = np.empty((len(clips), len(audio_columns())), np.float32)
    places = [_place(folder, path) for path in clips.paths]
    missing: dict[Path, list[int]] = {}
    for i, (path, place) in enumerate(zip(clips.paths, places, strict=True)):
        kept = read_row(place, len(audio_columns())) if place else None
        if kept is None:
            missing.setdefault(place or path, []).append(i)
        else:
            table[i] = kept
    if not missing:
        return table
    todo = list(missing.values())
    paths = clips.paths
    jobs = [(paths[rows[0]], places[rows[0]]) for rows in todo]
    with warnings.catch_warnings():
        # joblib's advice where work is given up because of a bad clip or Ctrl-C.
        warnings.filterwarnings("ignore", message=".*could benefit from adjusting")
        with (
            run.progress.task("audio features", total=len(todo)) as task,
            closing(_compute(jobs, run.workers)) as results,
        ):
            for rows, result in zip(todo, results, strict=True):
                if isinstance(result, str):
                    raise ClipError(f"{clips.where(rows[0])}: {result}")
                table[rows] = result
                task.advance()
    return table


def file_digest(path: Path) -> str | None:
    """Return the SHA-256 of a file; None when it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def _place(folder: Path, path: Path) -> Path | None:
    digest = file_digest(path)  # where there is none, load_audio says what is wrong
    return folder / digest[:2] / f"{digest[2:34]}.f32" if digest else None


def read_row(place: Path, count: int) -> NDArray[np.float32] | None:
    """Return the `count` features that `write_row` kept; None where there are none."""
    try:
        data = place.read_bytes()
    except FileNotFoundError:
        return None
    # A file of another size was cut off by a full disk or a crash, and is computed anew.
    return np.frombuffer(data, KEPT) if len(data) == KEPT.itemsize * count else None


Job = tuple[Path, Path | None]


def _compute(jobs: list[Job], workers: int) -> Generator[NDArray[np.float32] | str, None, None]:
    if workers < 2 or len(jobs) <= FEW:
        return (_measure(job) for job in jobs)
    size = min(16, max(1, len(jobs) // (4 * workers)))
    pool = joblib.Parallel(workers, return_as="generator", batch_size=size, max_nbytes=None)
    results: Generator[NDArray[np.float32] | str, None, None] = pool(
        joblib.delayed(_measure)(job) for job in jobs
    )
    return results


def _measure(job: Job) -> NDArray[np.float32] | str:
    """Compute and keep one clip's features; a clip that cannot be used gives the reason."""
    path, place = job
    try:
        samples = load_audio(path)
    except ClipError as error:
        return str(error)
    values = np.fromiter(audio.audio_features(samples).values(), np.float32)
    if place is not None:
        write_row(place, values)
    return values


def write_row(place: Path, values: NDArray[np.float32]) -> None:
    """Keep a clip's features, whole or not at all."""
    place.parent.mkdir(parents=True, exist_ok=True)
    temporary = place.with_suffix(f".{uuid.uuid4().hex}.tmp")
    try:
        temporary.write_bytes(values.astype(KEPT).tobytes())
        temporary.replace(place)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
