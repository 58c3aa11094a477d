"""Pitch by YIN."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft, signal

from audiomatch.audio import SAMPLE_RATE
from audiomatch_boosting.features.frames import HOP, Floats, Spectrogram

LOWEST, HIGHEST = 70.0, 600.0  # Hz; from a low man's voice to a small child's
RATE = SAMPLE_RATE // 2  # pitch and its first harmonics are far below 4 kHz
EVERY = 2  # hops of the other features a frame
WINDOW = RATE // 40  # samples summed over, 25 ms
VOICED = 0.2  # aperiodic part of the power under which a frame counts as voiced


def yin(wave: Floats) -> tuple[Floats, Floats]:
    """Return the pitch in Hz and the aperiodicity (0 periodic, about 1 noise) every 20 ms.

    `wave` is at 16 kHz; both results have shape (frames,).

    De Cheveigne and Kawahara, "YIN, a fundamental frequency estimator for speech and music", JASA
    111, 2002, at 8 kHz: the difference function (equation 6, through autocorrelation
    by FFT), its cumulative mean normalisation (equation 8), the first dip under the threshold
    (step 4), and parabolic interpolation (step 5).
    """
    wave = signal.resample_poly(wave, 1, 2)
    longest = int(RATE / LOWEST) + 2
    shortest = int(RATE / HIGHEST)
    size = WINDOW + longest
    padded = np.pad(wave, (0, max(0, size - wave.size)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[:: HOP * EVERY // 2]
    difference = _difference(frames, longest)
    lags = np.arange(1, longest)
    total = np.cumsum(difference[:, 1:], axis=1)
    normal = np.ones_like(difference)
    np.divide(difference[:, 1:] * lags, total, out=normal[:, 1:], where=total > 0)
    lag = _first_dip(normal, shortest, longest - 1)
    rows = np.arange(len(normal))
    left, middle, right = (normal[rows, lag + step] for step in (-1, 0, 1))
    bend = left - 2 * middle + right
    shift = np.zeros_like(middle)
    np.divide(0.5 * (left - right), bend, out=shift, where=bend > 1e-12)
    return RATE / (lag + np.clip(shift, -0.5, 0.5)), np.clip(middle, 0.0, 2.0)


def _difference(frames: Floats, longest: int) -> Floats:
    """Return d(lag) = sum over the window of (x[t] - x[t + lag])^2, shape (frames, longest)."""
    points = fft.next_fast_len(frames.shape[1], real=True)
    spectrum = fft.rfft(frames, points, axis=1)
    head = fft.rfft(frames[:, :WINDOW], points, axis=1)
    correlation = fft.irfft(spectrum * head.conj(), points, axis=1)[:, :longest]
    squares = np.cumsum(np.pad(frames**2, ((0, 0), (1, 0))), axis=1)
    energy = squares[:, WINDOW : WINDOW + longest] - squares[:, :longest]
    difference = energy[:, :1] + energy - 2 * correlation
    # What rounding leaves of an exact zero would look like a difference of its own.
    return np.where(difference > 1e-9 * energy[:, :1], difference, 0.0)


def _first_dip(normal: Floats, shortest: int, end: int) -> NDArray[np.int64]:
    """Return the lag of the first local minimum under the threshold, else of the lowest value."""
    inside = normal[:, shortest:end]
    dip = (inside < VOICED) & (inside <= normal[:, shortest + 1 : end + 1])
    first = np.argmax(dip, axis=1)
    lowest = np.argmin(inside, axis=1)
    return np.asarray(shortest + np.where(dip.any(axis=1), first, lowest), np.int64)


def pitch_features(spectrogram: Spectrogram, active: NDArray[np.bool_]) -> dict[str, float]:
    """Return pitch in semitones above 100 Hz and voicing over the speech; 0 where unvoiced."""
    # About the mean, or an offset would be a step where the clip begins and ends.
    pitch, aperiodicity = yin(spectrogram.wave - spectrogram.wave.mean())
    spoken = active[::EVERY][: len(pitch)]
    frames = len(spoken)
    voiced = spoken & (aperiodicity[:frames] < VOICED)
    result = dict.fromkeys(
        ("pitch_median", "pitch_spread", "pitch_range", "pitch_slope", "voiced_changes"), 0.0
    )
    result["voiced_share"] = float(voiced[spoken].mean()) if spoken.any() else 0.0
    result["aperiodicity"] = float(aperiodicity[:frames][spoken].mean()) if spoken.any() else 1.0
    if voiced.any():
        tones = 12 * np.log2(pitch[:frames][voiced] / 100)
        low, quarter, middle, three, high = np.percentile(tones, [5, 25, 50, 75, 95])
        third = max(1, tones.size // 3)
        result["pitch_median"] = float(middle)
        result["pitch_spread"] = float(three - quarter)
        result["pitch_range"] = float(high - low)
        result["pitch_slope"] = float(np.median(tones[-third:]) - np.median(tones[:third]))
        result["voiced_changes"] = float(np.abs(np.diff(voiced.astype(np.int8))).sum())
    return result
