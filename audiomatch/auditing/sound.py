"""What is heard of a clip at once: simple facts, and a fingerprint that survives copying."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.fft import rfft
from scipy.ndimage import maximum_filter
from scipy.signal.windows import hann

from audiomatch.audio import SAMPLE_RATE, each_audio
from audiomatch.cache import ArrayCache
from audiomatch.clips import Clips
from audiomatch.floors.features import decibels
from audiomatch.matcher import Run
from audiomatch.running.identity import computed_by

FACTS = ("level", "peak", "quietest", "leading silence", "trailing silence", "silence", "bandwidth")
FRAME, HOP = 1024, 256  # 64 ms, 16 ms
SECONDS_OF_FRAME = HOP / SAMPLE_RATE
_BINS = 256  # up to 4 kHz: what every codec keeps
_NEAR = (7, 9)  # frames and bins around a peak that are weaker
_PEAKS = 30  # a second at most
_FAN = 10  # peaks after one with which it may make a pair
_AHEAD = 63  # frames from the first to the second of a pair


class Heard(NamedTuple):
    """What is known of a clip's sound.

    Attributes:
        facts: those of `FACTS`: levels in dB of full scale, silences in seconds (those frames that
            are 30 dB under the 95th percentile) and as a share, the highest frequency in Hz that is
            within 60 dB of the loudest.
        marks: landmarks (Wang, 2003), int64 of shape (m, 2): a pair of spectral peaks as a number,
            and the frame of its first.
    """

    facts: NDArray[np.float64]
    marks: NDArray[np.int64]


def listen(clips: Clips, run: Run, *, known_only: bool = False) -> list[Heard] | None:
    """Return what is heard of each clip, remembered in `run.cache`.

    With `known_only` nothing is computed: None where not every clip is remembered.
    """
    cache = ArrayCache(run, "audit", computed_by(__name__))
    digests = clips.digests
    if known_only:
        kept = cache.get(dict.fromkeys(digests))
        if any(digest not in kept for digest in digests):
            return None
        rows = [kept[digest] for digest in digests]
    else:
        rows = cache.fill(
            digests, lambda missing: each_audio(clips.take(missing), _packed, run, "listening")
        )
    return [_unpacked(row) for row in rows]


def hear(samples: NDArray[np.float32]) -> Heard:
    """Return what is heard of samples at 16 kHz."""
    x = samples.astype(np.float64)
    if len(x) < FRAME:
        x = np.pad(x, (0, FRAME - len(x)))
    frames = np.lib.stride_tricks.sliding_window_view(x, FRAME)[::HOP]  # (frames, FRAME)
    level = decibels(np.sqrt((frames**2).mean(axis=1)))
    spectra = np.abs(rfft(frames * hann(FRAME, sym=False), axis=1)) / (FRAME / 4)
    return Heard(_facts(x, level, spectra), landmarks(spectra))


def _facts(
    x: NDArray[np.float64], level: NDArray[np.float64], spectra: NDArray[np.float64]
) -> NDArray[np.float64]:
    loud = np.flatnonzero(level > np.percentile(level, 95) - 30)
    first, last = (int(loud[0]), int(loud[-1])) if len(loud) else (len(level), len(level) - 1)
    mean = decibels(spectra.mean(axis=0))
    return np.array(
        [
            decibels(np.sqrt((x**2).mean())),
            decibels(np.abs(x).max()),
            np.percentile(level, 10),
            first * SECONDS_OF_FRAME,
            (len(level) - 1 - last) * SECONDS_OF_FRAME,
            1 - len(loud) / len(level),
            np.flatnonzero(mean > mean.max() - 60).max() * SAMPLE_RATE / FRAME,
        ]
    )


def landmarks(spectra: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the pairs of spectral peaks of magnitudes of shape (frames, bins).

    A pair is two bins and the frames between them, as one number.
    """
    power = decibels(spectra[:, 2 : 2 + _BINS])
    audible = power > max(power.max() - 50, -90)
    peaks = (power == maximum_filter(power, size=_NEAR)) & audible
    at, bins = np.nonzero(peaks)  # by frame, then by bin
    most = max(_FAN + 1, int(_PEAKS * len(power) * SECONDS_OF_FRAME))
    if len(at) > most:
        strongest = np.sort(np.argsort(-power[at, bins], kind="stable")[:most])
        at, bins = at[strongest], bins[strongest]
    marks = []
    for step in range(1, min(_FAN, len(at) - 1) + 1):
        ahead = at[step:] - at[: len(at) - step]
        pairs = np.flatnonzero((ahead > 0) & (ahead <= _AHEAD))
        number = (bins[pairs] * _BINS + bins[pairs + step]) * (_AHEAD + 1) + ahead[pairs]
        marks.append(np.column_stack([number, at[pairs]]))
    return np.concatenate(marks).astype(np.int64) if marks else np.empty((0, 2), np.int64)


def _packed(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    heard = hear(samples)
    return np.concatenate([heard.facts, heard.marks.astype(np.float64).ravel()])


def _unpacked(row: NDArray[np.float64]) -> Heard:
    n = len(FACTS)
    return Heard(row[:n], row[n:].reshape(-1, 2).astype(np.int64))
