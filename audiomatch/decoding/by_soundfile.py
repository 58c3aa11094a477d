"""Reads what libsndfile reads: WAV, FLAC, Ogg Vorbis and Opus, MP3, AIFF, AU, CAF, …."""

from __future__ import annotations

import contextlib
from io import BufferedReader, BytesIO

import soundfile

from audiomatch.decoding.containers import cut_short, tagged
from audiomatch.decoding.raw import Raw, Source, Span, check_stream, opened
from audiomatch.decoding.signatures import HEAD
from audiomatch.errors import ClipError

_UNKNOWN = (1, 4, 29)  # libsndfile's errors for formats and encodings that it has not
_NO_LENGTH = 2**62  # frames from here on: the header does not say
_TOLERANCE = 0.05  # seconds by which headers of lossy formats are wrong


class UnknownFormatError(ClipError):
    """What libsndfile does not read at all."""


class _Forward(soundfile.SoundFile):  # type: ignore[misc]
    """soundfile seeks after each read where it can, which fails in FLAC of unknown length."""

    def seekable(self) -> bool:
        return False


class _Unbroken:
    """A file that stays where it is when a broken header asks for a place before its start."""

    def __init__(self, file: BytesIO | BufferedReader) -> None:
        self._file = file
        self.tell, self.read, self.readinto = file.tell, file.read, file.readinto

    def seek(self, offset: int, whence: int = 0) -> int:
        with contextlib.suppress(OSError, ValueError):
            self._file.seek(offset, whence)
        return self._file.tell()


def read_soundfile(source: Source, span: Span) -> tuple[Raw, list[str]]:
    """Read a file or a part of it, and say what is to be said of it. Raises `ClipError`."""
    try:
        sound = _Forward(_Unbroken(opened(source)))
    except soundfile.LibsndfileError as error:
        known = error.code not in _UNKNOWN
        raise (ClipError if known else UnknownFormatError)(_reason(error)) from None
    with sound:
        rate, frames = sound.samplerate, sound.frames
        check_stream(rate, sound.channels)
        # Of an MP3 without its encoder's tag the length is estimated.
        known = 0 < frames < _NO_LENGTH and (sound.format != "MP3" or _tagged(source))
        if known:
            span.check_start(frames / rate)
            span.check_length(frames / rate)
        first, most = span.frames(rate)
        if known and sound.format != "MP3":
            most = min(most, frames - first)
        try:
            if first:
                sound.seek(first)
            samples = sound.read(most, dtype="float32", always_2d=True)
        except (soundfile.LibsndfileError, RuntimeError) as error:
            raise ClipError(_reason(error)) from None
    wanted = min(most, frames - first)
    if known and wanted - len(samples) > _TOLERANCE * rate:
        return Raw(samples, rate), cut_short(len(samples), wanted, "frames")
    return Raw(samples, rate), []


def _tagged(source: Source) -> bool:
    if isinstance(source, bytes):
        return tagged(source[:HEAD])
    place = source.tell()
    source.seek(0)
    head = source.read(HEAD)
    source.seek(place)
    return tagged(head)


def _reason(error: Exception) -> str:
    reason = str(error).split(": ", 1)[-1].rstrip(".")
    return f"is not readable as audio ({reason})"
