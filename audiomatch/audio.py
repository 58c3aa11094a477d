"""The one place that loads audio: any format and rate in, 16 kHz mono out."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from audiomatch.errors import ClipError

if TYPE_CHECKING:
    from audiomatch.clips import Clips

SAMPLE_RATE = 16_000
MAX_SECONDS = 30.0
EXTENSIONS = (".wav", ".flac", ".ogg", ".opus", ".mp3")


def load_audio(path: str | Path) -> NDArray[np.float32]:
    """Return the clip as float32 of shape (samples,) at 16 kHz, channels averaged, in [-1, 1].

    Reads WAV, FLAC, Ogg Vorbis and Opus, and MP3. Raises `ClipError` when the file is missing,
    unreadable, empty, longer than 30 s, or holds values that are not finite.
    """
    return decode_audio(_read(path), str(path))


def audio_digests(clips: Clips) -> list[str]:
    """Return the SHA-256 of each clip's file: the column `sha256` of intake, else taken now.

    What is computed from audio is kept under it. Raises `ClipError` with the clip's row.
    """
    known = clips["sha256"].astype(str) if "sha256" in clips.frame.columns else None
    if known is not None and known.str.fullmatch("[0-9a-f]{64}").all():  # not a manifest's gaps
        return known.tolist()
    digests = []
    for position, path in enumerate(clips.paths):
        try:
            digests.append(hashlib.sha256(_read(path)).hexdigest())
        except ClipError as error:
            raise ClipError(f"{clips.where(position)}: {error}") from None
    return digests


def _read(path: str | Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise ClipError(f"no such audio file: {path}") from None
    except OSError as error:
        raise ClipError(f"cannot read {path}: {error.strerror}") from None


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
