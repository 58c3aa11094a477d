"""Where in a clip the speech is."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audiomatch.audio import SAMPLE_RATE

FRAME_SECONDS = 0.02
# Soft sounds before and after the loud ones: what is kept of the recording on either side.
AROUND_SECONDS = 0.25


class Part(NamedTuple):
    """The part of a clip that is listened to.

    Attributes:
        audio: its samples.
        start: where in the clip it begins, in seconds.
        bounds: where in it the sound begins and ends, in seconds.
    """

    audio: NDArray[np.float32]
    start: float
    bounds: tuple[float, float]


def speech_part(audio: NDArray[np.float32], trim: bool) -> Part:
    """Return the speech with a little on either side; the whole clip without `trim`."""
    start, end = speech_bounds(audio)
    if not trim:
        return Part(audio, 0.0, (start, end))
    first = max(0, int((start - AROUND_SECONDS) * SAMPLE_RATE))
    began = first / SAMPLE_RATE
    last = int((end + AROUND_SECONDS) * SAMPLE_RATE)
    return Part(audio[first:last], began, (start - began, end - began))


def speech_bounds(audio: NDArray[np.float32]) -> tuple[float, float]:
    """Return when the sound begins and ends, in seconds.

    Loud are frames of 20 ms within 35 dB of the loudest and 9 dB above the noise (the tenth part
    that is quietest), and in any case those within 12 dB of the loudest.
    """
    size = int(SAMPLE_RATE * FRAME_SECONDS)
    count = len(audio) // size
    if count < 2:
        return 0.0, len(audio) / SAMPLE_RATE
    frames = audio[: count * size].reshape(count, size)
    level = 10 * np.log10(np.mean(np.square(frames, dtype=np.float64), axis=1) + 1e-10)
    peak, noise = float(level.max()), float(np.quantile(level, 0.1))
    loud = np.flatnonzero(level >= min(max(peak - 35, noise + 9), peak - 12))
    return float(loud[0] * FRAME_SECONDS), float((loud[-1] + 1) * FRAME_SECONDS)
