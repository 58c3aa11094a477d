"""Which frames hold speech, and what its rhythm is."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal

from audiomatch_boosting.features.frames import FRAMES_PER_SECOND, Floats, Spectrogram

QUIETEST = -75.0  # dB of full scale; loud frames below this hold no speech
RANGE = 35.0  # dB under the loud frames where speech ends
PAUSE = 0.15  # seconds; shorter gaps are closures of plosives


def active_frames(level: Floats) -> NDArray[np.bool_]:
    """Say which frames hold speech, from their levels in dB, shape (frames,).

    A frame counts when it is within 35 dB of the loud frames (95th percentile) and clear of the
    noise floor (10th percentile) by a third of the range between them. Isolated frames are removed
    and gaps under 0.15 s filled. Where the loud
    frames are above -75 dB, levels count only relative to each other.
    """
    loud, floor = np.percentile(level, [95, 10])
    if loud < QUIETEST:
        return np.zeros(level.shape, dtype=bool)
    threshold = loud - RANGE
    if loud - floor > 10:  # else there is no pause to tell from speech
        threshold = max(threshold, floor + (loud - floor) / 3)
    active = ndimage.median_filter((level >= threshold).astype(np.int8), 3, mode="nearest") > 0
    if not active.any():
        active = level >= threshold
    gap = np.ones(round(PAUSE * FRAMES_PER_SECOND), dtype=bool)
    return np.asarray(active | ndimage.binary_closing(active, gap), dtype=bool)


def runs(active: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the stretches of True as (first, one past the last)."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], active.astype(np.int8), [0]))))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def speech_features(spectrogram: Spectrogram, active: NDArray[np.bool_]) -> dict[str, float]:
    """Return duration, speech activity, pauses and syllable nuclei; seconds and counts.

    Nuclei are peaks of the smoothed level at least 2 dB above the dips beside them (after de Jong
    and Wempe, Behavior Research Methods, 2009, who ask for voicing too).
    """
    second = 1 / FRAMES_PER_SECOND
    stretches = runs(active)
    speech = float(active.sum()) * second
    first, last = (stretches[0][0], stretches[-1][1]) if stretches else (0, 0)
    pauses = [(after[0] - before[1]) * second for before, after in itertools.pairwise(stretches)]
    smooth = ndimage.uniform_filter1d(spectrogram.level, 5, mode="nearest")
    peaks, _ = signal.find_peaks(smooth, prominence=2.0, distance=8)
    nuclei = int(active[peaks].sum()) if peaks.size else 0
    return {
        "seconds": spectrogram.seconds,
        "speech_seconds": speech,
        "speech_share": float(active.mean()),
        "speech_start": first * second,
        "speech_span": (last - first) * second,
        "silence_after": max(0.0, spectrogram.seconds - last * second),
        "stretches": float(len(stretches)),
        "longest_stretch": max((b - a for a, b in stretches), default=0) * second,
        "longest_pause": max(pauses, default=0.0),
        "pause_seconds": sum(pauses),
        "nuclei": float(nuclei),
        "nuclei_per_second": nuclei / speech if speech else 0.0,
    }


def level_features(spectrogram: Spectrogram, active: NDArray[np.bool_]) -> dict[str, float]:
    """Return how loud the clip is: the only features that a gain may move; dB of full scale."""
    wave, level = spectrogram.wave, spectrogram.level
    peak = float(np.abs(wave - wave.mean()).max())
    spoken = level[active] if active.any() else level
    return {
        "level_peak": 20 * np.log10(max(peak, 1e-5)),
        "level_speech": float(spoken.mean()),
        "level_floor": float(np.percentile(level, 10)),
        "level_clipped": float(np.mean(np.abs(wave) >= 0.999)),
    }


def dynamics_features(spectrogram: Spectrogram, active: NDArray[np.bool_]) -> dict[str, float]:
    """Return how the level moves within the clip, in dB; a gain leaves these alone."""
    level = spectrogram.level
    if not active.any():
        return {"dynamics_std": 0.0, "dynamics_range": 0.0, "dynamics_snr": 0.0, "dynamics_tilt": 0}
    spoken, rest = level[active], level[~active]
    third = max(1, spoken.size // 3)
    return {
        "dynamics_std": float(spoken.std()),
        "dynamics_range": float(np.subtract(*np.percentile(spoken, [95, 5]))),
        "dynamics_snr": float(spoken.mean() - rest.mean()) if rest.size else 0.0,
        "dynamics_tilt": float(spoken[-third:].mean() - spoken[:third].mean()),
    }
