"""The one place that loads audio: any format and rate in, 16 kHz mono out."""

from __future__ import annotations

import functools
import hashlib
import math
import os
import random
import stat
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
from cachetools import RRCache
from numpy.typing import NDArray

from audiomatch.datasets.audio_paths import hint_at
from audiomatch.decoding import Decoded, check_header, decode
from audiomatch.decoding.raw import MAX_SECONDS as MAX_SECONDS
from audiomatch.decoding.raw import SAMPLE_RATE as SAMPLE_RATE
from audiomatch.errors import ClipError, brief

if TYPE_CHECKING:
    from audiomatch.clips import Clips
    from audiomatch.matcher import Run

T = TypeVar("T")

_HASHING = Lock()  # threads that read segments of one file wait for the first to hash it
_IN_MEMORY = 64 * 2**20  # bytes; of larger files only what is wanted is read
# What was decoded, by the SHA-256 of the file: intake, features and the search for speech each ask
# for it. What makes room is drawn at random: all read the clips in the same order, so that the one
# asked for the longest ago is the next that will be.
_MOST_DECODED = 128 * 2**20  # bytes of samples, half an hour
_decoded: RRCache[str, Decoded] = RRCache(
    _MOST_DECODED,
    choice=random.Random(0).choice,  # noqa: S311 - none of the caller's numbers
    getsizeof=lambda one: one.samples.nbytes,
)
_DECODED = Lock()
# By which the name of one clip is told from that of a table; what a file is its bytes tell.
EXTENSIONS = (
    ".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".caf", ".webm",
    ".m4a", ".mp4", ".mov", ".aac", ".3gp", ".amr", ".wma", ".mka", ".mkv",
)  # fmt: skip


def load_audio(
    path: str | Path, start: float = math.nan, end: float = math.nan
) -> NDArray[np.float32]:
    """Return a clip as float32 of shape (samples,) at 16 kHz, channels averaged, full scale at 1.

    Reads WAV, FLAC, Ogg Vorbis and Opus, MP3, AIFF, AU and CAF; with the extra `av` also WebM, MP4
    and M4A, 3GP, AMR, WMA, and the sound of films. Where channels cancel each other the loudest is
    taken. Raises `ClipError` when the file is missing, no audio, damaged, empty, longer than 30 s
    (padding of a tenth of a second is cut off), or holds values that are not finite or are
    integers written as floats.

    Args:
        path: the file.
        start: where in the file the clip begins, in seconds; NaN: at the file's start.
        end: where it ends; NaN: at the file's end.
    """
    return Recording(Path(path), start, end).load()


class Recording(NamedTuple):
    """Where the sound of a clip is.

    Attributes:
        path: the file.
        start: where in the file the clip begins, in seconds; NaN: at the file's start.
        end: where it ends; NaN: at the file's end.
        digest: what `digest_now` was when intake checked the clip; empty where it has not.
    """

    path: Path
    start: float = math.nan
    end: float = math.nan
    digest: str = ""

    @property
    def whole(self) -> bool:
        """Whether the clip is the whole file."""
        return math.isnan(self.start) and math.isnan(self.end)

    def digest_now(self) -> str:
        """Return the SHA-256 of what the file holds now, and of the segment where there is one.

        Raises `ClipError` where the file cannot be read.
        """
        with opened(self.path) as file:
            facts = os.fstat(file.fileno())
            if self.whole:
                if facts.st_size > _IN_MEMORY:  # a session, whose header tells that it is no clip
                    check_header(file, str(self.path))
                return _hash(file)
            key = facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns
            with _HASHING:
                digest = _file_digest(self.path, key)
            return _of_segment(digest, self.start, self.end)

    def load(self) -> NDArray[np.float32]:
        """Return the samples as `load_audio` does, where the file is what intake saw.

        Raises `ClipError`.
        """
        return self.decode().samples

    def decode(self) -> Decoded:
        """Return the samples as `load` does, and what is to be said of them."""
        with opened(self.path) as file:
            if self.whole and os.fstat(file.fileno()).st_size <= _IN_MEMORY:
                return self._decode_whole(file.read())
            if self.digest and self.digest_now() != self.digest:
                raise self._changed()
            return decode(file, str(self.path), self.start, self.end)

    def _decode_whole(self, data: bytes) -> Decoded:
        digest = hashlib.sha256(data).hexdigest()
        if self.digest and digest != self.digest:
            raise self._changed()
        with _DECODED:
            found = _decoded.get(digest)
        if found is None:
            found = decode(data, str(self.path))
            with _DECODED, suppress(ValueError):  # larger than all that is kept
                _decoded[digest] = found
        return Decoded(found.samples.copy(), list(found.warnings))

    def _changed(self) -> ClipError:
        return ClipError(f"{self.path} has changed since it was checked; start again")


def recordings(clips: Clips) -> list[Recording]:
    """Return where the sound of each clip is, in order."""
    digests = clips.digests if clips.admitted else [""] * len(clips)
    return [
        Recording(path, float(start), float(end), digest)
        for path, (start, end), digest in zip(clips.paths, clips.segments, digests, strict=True)
    ]


def load_clip(clips: Clips, position: int) -> NDArray[np.float32]:
    """Return the samples of one of the clips as `load_audio` does.

    Raises `ClipError` with the clip's row, also where the file is another than intake saw.
    """
    with row_named(clips, position):
        return recordings(clips.take([position]))[0].load()


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
        with row_named(clips, position):
            samples = sources[position].load()
        return function(samples)

    sources = recordings(clips)
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
    """Return `Recording.digest_now` of each clip. Raises `ClipError` with the row."""
    digests = []
    for position, recording in enumerate(recordings(clips)):
        with row_named(clips, position):
            digests.append(recording.digest_now())
    return digests


def seconds_now(clips: Clips) -> list[float]:
    """Return how long each clip is now. Raises `ClipError` with the row."""
    return [len(load_clip(clips, i)) / SAMPLE_RATE for i in range(len(clips))]


def sounds_now(clips: Clips) -> list[str]:
    """Return `sound_digest` of each clip as it is now. Raises `ClipError` with the row."""
    return [sound_digest(load_clip(clips, i)) for i in range(len(clips))]


def sound_digest(samples: NDArray[np.float32]) -> str:
    """Return the SHA-256 of decoded samples: the same for the same sound in WAV and FLAC."""
    return hashlib.sha256(samples.astype("<f4", copy=False).tobytes()).hexdigest()


@contextmanager
def row_named(clips: Clips, position: int) -> Iterator[None]:
    """Put the row of a clip before what a `ClipError` says."""
    try:
        yield
    except ClipError as error:
        raise ClipError(f"{clips.where(position)}: {error}") from None


@contextmanager
def opened(path: Path) -> Iterator[BufferedReader]:
    """Open an audio file. Raises `ClipError` where it cannot be read."""
    if str(path) == ".":
        raise ClipError("audio is empty")
    if "\0" in str(path):
        raise ClipError(f"cannot read {brief(str(path))}: its name holds a NUL character")
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):  # it may block, or never end
            kind = "a folder" if stat.S_ISDIR(mode) else "no regular file"
            raise ClipError(f"{path} is {kind}; must be an audio file")
        with path.open("rb") as file:
            yield file
    except FileNotFoundError:
        raise ClipError(f"no such audio file: {path}{hint_at(path)}") from None
    except OSError as error:
        raise ClipError(f"cannot read {brief(str(path))}: {error.strerror}") from None
    except UnicodeEncodeError:
        raise ClipError(
            f"cannot read {brief(str(path))}: its name is beyond the system's encoding of file "
            "names (LANG or LC_ALL; C.UTF-8 has every letter)"
        ) from None


@functools.lru_cache(4096)
def _file_digest(path: Path, _state: tuple[int, ...]) -> str:
    """Return the SHA-256 of a file, taken once for all its segments while its state is `_state`."""
    with opened(path) as file:
        return _hash(file)


def _hash(file: BufferedReader) -> str:
    return hashlib.file_digest(file, "sha256").hexdigest()


def _of_segment(digest: str, start: float, end: float) -> str:
    return hashlib.sha256(f"{digest} {start!r} {end!r}".encode()).hexdigest()
