"""Reads what FFmpeg reads beside: WebM, MP4 and M4A, 3GP, AMR, WMA, and films."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from audiomatch.decoding.containers import cut_short
from audiomatch.decoding.raw import Raw, Source, Span, check_stream, opened
from audiomatch.errors import ClipError

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer

NEEDED = "to read it: pip install 'audiomatch-toolkit[av]'"
_FROM_START = 60.0  # seconds; up to here a segment is counted from the start, to the sample
_BEFORE = 0.5  # seconds decoded before a segment, for decoders that need a start
_TOLERANCE = 0.1  # seconds


def read_av(source: Source, span: Span) -> tuple[Raw, list[str]]:
    """Read a file or a part of it, and say what is to be said of it.

    Raises `ClipError`, and `ImportError` where PyAV is not installed.
    """
    import av

    try:
        with av.open(opened(source), mode="r", metadata_errors="ignore") as container:
            if not container.streams.audio:
                raise ClipError("holds no audio stream")
            if container.streams.audio[0].codec_context is None:
                raise ClipError("holds audio of a kind that FFmpeg does not decode")
            return _read(container, container.streams.audio[0], span)
    except (av.FFmpegError, ValueError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ClipError(f"is not readable as audio ({reason})") from None


def _read(container: InputContainer, stream: AudioStream, span: Span) -> tuple[Raw, list[str]]:
    rate = int(stream.rate or 0)
    check_stream(rate, stream.channels)
    promised = _seconds(container, stream)
    if promised:
        span.check_start(promised)
        span.check_length(promised)
    first, most = span.frames(rate)
    begin = float((stream.start_time or 0) * (stream.time_base or 0))
    if span.first > _FROM_START:
        container.seek(int(max(0.0, begin + span.first - _BEFORE) * 1_000_000))
    parts: list[NDArray[np.float32]] = []
    place = read = 0
    for at, samples in _decoded(container, stream):
        if not parts:
            place = round((at - begin) * rate) if span.first > _FROM_START else 0
        place += len(samples)
        kept = samples[max(0, len(samples) - (place - first)) :] if place > first else samples[:0]
        parts.append(kept)
        read += len(kept)
        if read >= most:
            break
    samples = np.concatenate(parts) if parts else np.zeros((0, 1), np.float32)
    if first and not read:
        span.check_start(place / rate)
    raw = Raw(samples[:most], rate)
    wanted = min(most / rate, promised - first / rate)
    if wanted - len(raw.samples) / rate > _TOLERANCE:
        return raw, cut_short(len(raw.samples), round(wanted * rate), "frames")
    return raw, []


def _seconds(container: InputContainer, stream: AudioStream) -> float:
    """Return how long the header says that the sound is, 0 where it does not."""
    if stream.duration is not None and stream.time_base:
        return float(stream.duration * stream.time_base)
    if container.duration is not None and len(container.streams) == 1:
        return container.duration / 1_000_000
    return 0.0


def _decoded(
    container: InputContainer, stream: AudioStream
) -> Iterator[tuple[float, NDArray[np.float32]]]:
    """Give when each frame begins, in seconds, and its samples, (frames, channels)."""
    for frame in container.decode(stream):
        values = frame.to_ndarray()  # (channels, n), or (1, n * channels) where interleaved
        if not frame.format.is_planar:
            values = values.reshape(-1, frame.layout.nb_channels).T
        if values.dtype.kind == "f":
            samples = values.astype(np.float32)
        else:
            scale = 2.0 ** (8 * values.dtype.itemsize - 1)
            silence = scale if values.dtype.kind == "u" else 0.0
            samples = ((values - silence) / scale).astype(np.float32)
        yield frame.time or 0.0, samples.T
