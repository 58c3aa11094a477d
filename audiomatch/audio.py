"""The one place that loads audio: any format and rate in, 16 kHz mono out."""

from __future__ import annotations

import hashlib
import io
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from audiomatch.datasets.audio_paths import hint_at
from audiomatch.errors import ClipError, brief

if TYPE_CHECKING:
    from audiomatch.clips import Clips
    from audiomatch.matcher import Run

T = TypeVar("T")

SAMPLE_RATE = 16_000
MAX_SECONDS = 30.0
EXTENSIONS = (".wav", ".flac", ".ogg", ".opus", ".mp3")


def load_audio(path: str | Path) -> NDArray[np.float32]:
    """Return the clip as float32 of shape (samples,) at 16 kHz, channels averaged, in [-1, 1].

    Reads WAV, FLAC, Ogg Vorbis and Opus, and MP3. Raises `ClipError` when the file is missing,
    unreadable, empty, longer than 30 s, or holds values that are not finite.
    """
    return decode_audio(read_clip(path), str(path))


def map_audio(
    clips: Clips, function: Callable[[NDArray[np.float32]], T], run: Run, label: str
) -> list[T]:
    """Return `function(samples)` of each clip, in order; see `each_audio`."""
    return list(each_audio(clips, function, run, label))


def each_audio(
    clips: Clips, function: Callable[[NDArray[np.float32]], T], run: Run, label: str
) -> Iterator[T]:
    """Give `function(samples)` of each clip, in order, computed by `run.workers` threads.

    `samples` is what `load_audio` returns. No more is computed ahead than the threads need, so that
    what is taken may be let go. `label` names the task of `run.progress`. Raises `ClipError` with
    the clip's row, also where a file is another than the one that intake saw.
    """

    def one(position: int) -> T:
        with _row_named(clips, position):
            data = read_clip(paths[position])
            if known is not None and hashlib.sha256(data).hexdigest() != known[position]:
                raise ClipError(f"{paths[position]} has changed since it was checked; start again")
            samples = decode_audio(data, str(paths[position]))
        return function(samples)

    paths = clips.paths
    known = clips.digests if clips.admitted else None
    with (
        run.progress.task(label, total=len(clips)) as task,
        ThreadPoolExecutor(max(1, run.workers)) as pool,
    ):
        ahead: deque[Future[T]] = deque()
        try:
            for position in range(len(clips)):
                ahead.append(pool.submit(one, position))
                if len(ahead) > 2 * run.workers:
                    yield ahead.popleft().result()
                    task.advance()
            while ahead:
                yield ahead.popleft().result()
                task.advance()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def digests_now(clips: Clips) -> list[str]:
    """Return the SHA-256 of what each clip's file holds now. Raises `ClipError` with the row."""
    digests = []
    for position, path in enumerate(clips.paths):
        with _row_named(clips, position):
            digests.append(hashlib.sha256(read_clip(path)).hexdigest())
    return digests


def seconds_now(clips: Clips) -> list[float]:
    """Return how long what each clip's file holds now is. Raises `ClipError` with the row."""
    seconds = []
    for position, path in enumerate(clips.paths):
        with _row_named(clips, position):
            seconds.append(len(load_audio(path)) / SAMPLE_RATE)
    return seconds


@contextmanager
def _row_named(clips: Clips, position: int) -> Iterator[None]:
    try:
        yield
    except ClipError as error:
        raise ClipError(f"{clips.where(position)}: {error}") from None


def read_clip(path: str | Path) -> bytes:
    """Return the bytes of an audio file. Raises `ClipError` where it cannot be read."""
    if Path(path) == Path():
        raise ClipError("audio is empty")
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise ClipError(f"no such audio file: {path}{hint_at(Path(path))}") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL character
        reason = getattr(error, "strerror", None) or error
        raise ClipError(f"cannot read {brief(str(path))}: {reason}") from None


def decode_audio(data: bytes, name: str) -> NDArray[np.float32]:
    """Decode the bytes of an audio file as `load_audio` does; `name` is for the errors."""
    if not data:
        raise ClipError(f"{name} is empty (0 bytes)")
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            rate = file.samplerate
            # Some formats do not say their length; one second more than allowed tells enough.
            samples = file.read(int((MAX_SECONDS + 1) * rate), dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        reason = str(error).split(": ", 1)[-1].rstrip(".")
        raise ClipError(f"{name} is not readable as audio ({reason})") from None
    mono = samples.mean(axis=1)
    if mono.size == 0:
        raise ClipError(f"{name} holds no audio (0 samples)")
    if mono.size > MAX_SECONDS * rate:
        raise ClipError(f"{name} is longer than {MAX_SECONDS:.0f} s; cut it into shorter clips")
    if not np.isfinite(mono).all():
        raise ClipError(f"{name} holds samples that are not finite")
    if rate != SAMPLE_RATE:
        mono = soxr.resample(mono, rate, SAMPLE_RATE)
        if mono.size == 0:
            raise ClipError(f"{name} holds no audio (0 samples at 16 kHz)")
    return np.ascontiguousarray(mono, dtype=np.float32)
