"""What the readers of files take and give."""

from __future__ import annotations

import math
from dataclasses import dataclass
from io import BufferedReader, BytesIO
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audiomatch.errors import ClipError

SAMPLE_RATE = 16_000
MAX_SECONDS = 30.0
# What encoders pad a clip of 30 s by; cut off again.
PADDING_SECONDS = 0.1
HIGHEST_RATE = 768_000
MOST_CHANNELS = 64
MOST_VALUES = 64 * 48_000  # a second, in all channels; of silence a small file holds far more

Source = bytes | BufferedReader  # small files are in memory, of others only what is wanted is read


@dataclass(frozen=True)
class Raw:
    """Decoded sound: float32 of shape (frames, channels), full scale at 1."""

    samples: NDArray[np.float32]
    rate: int


class Span(NamedTuple):
    """The part of a file that is wanted, in seconds; NaN is the file's own start or end."""

    start: float = math.nan
    end: float = math.nan

    @property
    def whole(self) -> bool:
        """Whether it is the whole file."""
        return math.isnan(self.start) and math.isnan(self.end)

    @property
    def first(self) -> float:
        """Where it begins, in seconds."""
        return 0.0 if math.isnan(self.start) else self.start

    def frames(self, rate: int) -> tuple[int, int]:
        """Return its first frame, and how many to read: no more than tell that it is too long."""
        first, most = round(self.first * rate), int((MAX_SECONDS + 1) * rate)
        return first, min(most, round(self.end * rate) - first) if self.end < math.inf else most

    def check(self) -> None:
        """Raise `ClipError` where it is none."""
        if not 0 <= self.first < math.inf or self.end <= self.first:
            raise ClipError(
                f"has no segment from {self.first:g} to {self.end:g} s; must be 0 <= start < end"
            )

    def check_start(self, seconds: float) -> None:
        """Raise `ClipError` where it starts after the end of a file of so many seconds."""
        if self.first and self.first >= seconds:
            raise ClipError(f"ends at {seconds:g} s, before its segment starts ({self.first:g} s)")

    def ends_early(self, seconds: float) -> list[str]:
        """Say where a file ends before the segment, of which there are so many seconds."""
        if self.first + seconds < self.end - PADDING_SECONDS:  # False for NaN
            return [f"ends at {self.first + seconds:g} s, before its segment does ({self.end:g} s)"]
        return []

    def check_length(self, seconds: float) -> None:
        """Raise `ClipError` where so much of a file is longer than a clip may be."""
        wanted = (self.end if self.end < seconds else seconds) - self.first
        if wanted > MAX_SECONDS + PADDING_SECONDS:
            raise ClipError(
                f"is longer than {MAX_SECONDS:.0f} s ({wanted:.4g} s); cut it into shorter clips"
            )


def check_stream(rate: int, channels: int) -> None:
    """Raise `ClipError` where a header says what no recording has."""
    if not 1 <= rate <= HIGHEST_RATE:
        raise ClipError(f"has a sample rate of {rate} Hz; the highest read is {HIGHEST_RATE} Hz")
    if not 1 <= channels <= MOST_CHANNELS:
        raise ClipError(f"has {channels} channels; the most that are read is {MOST_CHANNELS}")
    if rate * channels > MOST_VALUES:
        raise ClipError(f"has {channels} channels of {rate} Hz, more than is read at a time")


def opened(source: Source) -> BytesIO | BufferedReader:
    """Return a source as a file at its start."""
    if isinstance(source, bytes):
        return BytesIO(source)
    source.seek(0)
    return source
