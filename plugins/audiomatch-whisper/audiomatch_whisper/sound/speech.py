"""Where in a clip the speech is."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audiomatch.audio import SAMPLE_RATE, load_clip
from audiomatch.clips import Clips
from audiomatch.level import HEARD, without_clicks

FRAME_SECONDS = 0.02
# Soft sounds before and after the loud ones: what is kept of the recording on either side.
AROUND_SECONDS = 0.25


class Speech(NamedTuple):
    """Where in a clip the speech is.

    Attributes:
        first: the first sample that is kept.
        last: the one after the last that is kept.
        bounds: where in what is kept the sound begins and ends, in seconds.
    """

    first: int
    last: int
    bounds: tuple[float, float]

    @property
    def start(self) -> float:
        """Where in the clip what is kept begins, in seconds."""
        return self.first / SAMPLE_RATE

    @property
    def seconds(self) -> float:
        """How long it is."""
        return (self.last - self.first) / SAMPLE_RATE

    @classmethod
    def of(cls, audio: NDArray[np.float32], trim: bool) -> Speech:
        """Find the speech with a little on either side; all of the clip without `trim`."""
        start, end = speech_bounds(audio)
        if not trim:
            return cls(0, len(audio), (start, end))
        first = max(0, int((start - AROUND_SECONDS) * SAMPLE_RATE))
        last = min(len(audio), int((end + AROUND_SECONDS) * SAMPLE_RATE))
        began = first / SAMPLE_RATE
        return cls(first, last, (start - began, end - began))


def speech_of(clips: Clips, trim: bool) -> list[Speech]:
    """Find the speech of each clip; raises `ClipError` with the clip's row."""
    return [Speech.of(load_clip(clips, i), trim) for i in range(len(clips))]


def speech_bounds(audio: NDArray[np.float32]) -> tuple[float, float]:
    """Return when the sound begins and ends, in seconds, by frames of 20 ms; clicks are none."""
    audio = without_clicks(audio)
    size = int(SAMPLE_RATE * FRAME_SECONDS)
    count = len(audio) // size
    if count < 2:
        return 0.0, len(audio) / SAMPLE_RATE
    frames = audio[: count * size].reshape(count, size)
    level = 10 * np.log10(np.mean(np.square(frames, dtype=np.float64), axis=1) + 1e-10)
    loud = loud_frames(level)
    return float(loud[0] * FRAME_SECONDS), float((loud[-1] + 1) * FRAME_SECONDS)


def loud_frames(level: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return which frames are loud, by their level in dB.

    Those within 35 dB of the loudest and 9 dB above the noise, and in any case those within 12 dB
    of the loudest. Noise is the tenth part that is quietest of what is heard at all: silence that
    was put before or after a recording says nothing of its noise.
    """
    peak = float(level.max())
    noise = float(np.quantile(level[level >= peak - HEARD], 0.1))
    return np.flatnonzero(level >= min(max(peak - 35, noise + 9), peak - 12))
