"""From the bytes of an audio file to samples at 16 kHz; `audiomatch.audio` is the way in."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from functools import lru_cache
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soxr
from numpy.typing import NDArray

from audiomatch.decoding.by_av import NEEDED, read_av
from audiomatch.decoding.by_soundfile import UnknownFormatError, read_soundfile
from audiomatch.decoding.containers import chained, split
from audiomatch.decoding.levels import to_mono
from audiomatch.decoding.raw import MAX_SECONDS, PADDING_SECONDS, SAMPLE_RATE, Raw, Source, Span
from audiomatch.decoding.signatures import HEAD, OGG, Kind, kind_of, mangled
from audiomatch.errors import ClipError


class Decoded(NamedTuple):
    """A clip: float32 of shape (samples,) at 16 kHz, and what is to be said of it."""

    samples: NDArray[np.float32]
    warnings: list[str]


def decode(source: Source, name: str, start: float = math.nan, end: float = math.nan) -> Decoded:
    """Decode a file, or the part of it from `start` to `end` seconds, as `load_audio` says.

    `name` is for the errors: raises `ClipError`.
    """
    try:
        return _decode(source, name, Span(start, end))
    except ClipError as error:
        raise ClipError(f"{name} {error}") from None


def check_header(file: BufferedReader, name: str) -> None:
    """Raise `ClipError` where the header of a whole file says that it is no clip.

    Reads no more of it than a clip may hold.
    """
    try:
        _read(file, _kind(file), Span())
    except ClipError as error:
        raise ClipError(f"{name} {error}") from None
    file.seek(0)


def _decode(source: Source, name: str, span: Span) -> Decoded:
    span.check()
    kind = _kind(source)
    parts: Sequence[Source] = [source]
    warnings: list[str] = []
    if isinstance(source, bytes):
        parts, warnings = split(source, kind)
    elif kind == OGG and _chained(name, os.fstat(source.fileno()).st_mtime_ns):
        raise ClipError("is a chain of Ogg streams, of which no segment is read; cut it first")
    clips = []
    for part in parts:
        raw, said = _read(part, kind, span)
        mono, more = _mono(raw)
        clips.append(mono)
        warnings += said + more + span.ends_early(len(raw.samples) / raw.rate)
    mono = np.concatenate(clips) if len(clips) > 1 else clips[0]
    if mono.size > (MAX_SECONDS + PADDING_SECONDS) * SAMPLE_RATE:
        raise ClipError(f"is longer than {MAX_SECONDS:.0f} s; cut it into shorter clips")
    mono = mono[: int(MAX_SECONDS * SAMPLE_RATE)]
    return Decoded(np.ascontiguousarray(mono, dtype=np.float32), list(dict.fromkeys(warnings)))


def _kind(source: Source) -> Kind:
    head = source[:HEAD] if isinstance(source, bytes) else source.read(HEAD)
    if not head:
        raise ClipError("is empty (0 bytes)")
    kind = kind_of(head)
    if not kind.reader:
        raise ClipError(f"is {kind.name}, not audio" + (f"; {kind.advice}" if kind.advice else ""))
    if how := mangled(head):
        raise ClipError(f"was spoilt by a transfer as text ({how}); copy it again as binary")
    return kind


@lru_cache(4096)
def _chained(name: str, _modified: int) -> bool:
    with Path(name).open("rb") as file:
        return chained(file)


def _read(source: Source, kind: Kind, span: Span) -> tuple[Raw, list[str]]:
    unknown = ClipError(f"is {kind.name}")
    if kind.reader == "soundfile":
        try:
            return read_soundfile(source, span)
        except UnknownFormatError as error:
            unknown = error
    try:
        return read_av(source, span)
    except ImportError:
        if not kind.name:
            raise unknown from None
        raise ClipError(f"{unknown}; {NEEDED}") from None
    except ClipError:
        if kind.reader == "soundfile":
            raise unknown from None
        raise


def _mono(raw: Raw) -> tuple[NDArray[np.float32], list[str]]:
    if not len(raw.samples):
        raise ClipError("holds no audio (0 samples)")
    mono, warnings = to_mono(raw.samples)
    if raw.rate != SAMPLE_RATE:
        mono = soxr.resample(mono, raw.rate, SAMPLE_RATE)
        if not mono.size:
            raise ClipError("holds no audio (0 samples at 16 kHz)")
    return mono, warnings
