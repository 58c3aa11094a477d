"""How long clips are: measured once, kept in the run's cache."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from audiomatch import Run
from audiomatch.audio import SAMPLE_RATE, each_audio
from audiomatch.cache import ArrayCache
from audiomatch.clips import Clips
from audiomatch.running.identity import computed_by

Samples = NDArray[np.float32]
Seconds = NDArray[np.float64]


def durations(clips: Clips, run: Run) -> Seconds:
    """Return the seconds of each clip, shape (n,)."""

    def measure(positions: list[int]) -> Iterator[Seconds]:
        return each_audio(clips.take(positions), seconds, run, "durations")

    cache = ArrayCache(run, "speaking-rate", computed_by(__name__))
    return np.array(cache.fill(clips.digests, measure))


def seconds(samples: Samples) -> Seconds:
    """Return how long a clip is, shape ()."""
    return np.array(samples.size / SAMPLE_RATE)
