"""Simple statistics of the waveform, kept by the content of the clip."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.fft import rfft, rfftfreq
from scipy.signal.windows import hann

from audiomatch.audio import SAMPLE_RATE, each_audio
from audiomatch.cache import ArrayCache
from audiomatch.clips import Clips
from audiomatch.matcher import Run
from audiomatch.running.identity import computed_by

FRAME, HOP = 512, 256  # 32 ms, 16 ms
EDGES = (0, 200, 400, 800, 1200, 1800, 2600, 3600, 5000, 8000)  # of the bands, in Hz
QUIET = 1e-5  # -100 dB of full scale, the floor of every level

_WINDOW = hann(FRAME, sym=False) / (FRAME / 2)  # a full-scale sine has magnitude 1
_STARTS = np.searchsorted(rfftfreq(FRAME, 1 / SAMPLE_RATE), EDGES[:-1])  # first bin of each band


def waveform_statistics(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return statistics of a clip at 16 kHz, shape (d,): the same length for any clip.

    Seconds and their logarithm; level (dB of full scale): of the whole, peak, frames' 10th, 50th
    and 90th percentile and spread; share of frames within 20 dB of the 90th percentile (speech, if
    anything), runs of them, and seconds from the first to the last; zero crossings per second;
    mean and spread of each band's level below that of the frame.
    """
    x = samples.astype(np.float64)
    seconds = len(x) / SAMPLE_RATE
    if len(x) < FRAME:
        x = np.pad(x, (0, FRAME - len(x)))
    frames = np.lib.stride_tricks.sliding_window_view(x, FRAME)[::HOP]
    level = decibels(np.sqrt((frames**2).mean(axis=1)))
    low, middle, high = np.percentile(level, [10, 50, 90])
    active = level > high - 20
    starts = np.flatnonzero(np.diff(active.astype(int), prepend=0) == 1)
    where = np.flatnonzero(active)
    span = (where[-1] - where[0] + 1) * HOP / SAMPLE_RATE if len(where) else 0.0
    power = np.abs(rfft(frames * _WINDOW, axis=1)) ** 2
    bands = np.add.reduceat(power, _STARTS, axis=1)
    shares = 10 * np.log10((bands + QUIET**2) / (bands.sum(axis=1, keepdims=True) + QUIET**2))
    return np.asarray(
        [
            seconds,
            np.log(seconds),
            decibels(np.sqrt((x**2).mean())),
            decibels(np.abs(x).max()),
            low,
            middle,
            high,
            level.std(),
            active.mean(),
            len(starts),
            span,
            np.count_nonzero(np.diff(np.signbit(x))) / seconds,
            *shares.mean(axis=0),
            *shares.std(axis=0),
        ],
        np.float64,
    )


def audio_features(clips: Clips, run: Run) -> NDArray[np.float64]:
    """Return `waveform_statistics` of each clip, shape (n, d); remembered in `run.cache`."""
    cache = ArrayCache(run, "floors", computed_by(__name__))
    rows = cache.fill(
        clips.digests,
        lambda missing: each_audio(
            clips.take(missing), waveform_statistics, run, "waveform statistics"
        ),
    )
    return np.stack(rows)


def decibels(amplitude: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return amplitudes in dB of full scale, -100 at the least."""
    return np.asarray(20 * np.log10(np.maximum(amplitude, QUIET)), np.float64)
