"""From channels to one, and what is odd about its level."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audiomatch.errors import ClipError

HIGHEST = 4.0  # 12 dB over full scale: more than a lossy codec's overshoot
QUIET = 1e-3  # -60 dB of full scale
_SCALES = (2**7, 2**15, 2**23, 2**31)  # of the integer formats
_CANCELLED = 0.1
_CLIPPED = 0.1


def to_mono(samples: NDArray[np.float32]) -> tuple[NDArray[np.float32], list[str]]:
    """Return the mean of the channels, (frames, channels) to (frames,), and what is odd about it.

    Raises `ClipError` where full scale is not 1.
    """
    high, low = float(samples.max()), float(samples.min())
    _check_range(samples, max(high, -low))
    if samples.shape[1] == 1:
        return samples[:, 0], _odd_level(samples[:, 0], high, low)
    mono, warnings = _mixed(samples)
    return mono, warnings + _odd_level(mono, float(mono.max()), float(mono.min()))


def _check_range(samples: NDArray[np.float32], peak: float) -> None:
    if not np.isfinite(peak):
        raise ClipError("holds samples that are not finite")
    if peak > HIGHEST or (peak > 1 and np.array_equal(samples, np.rint(samples))):
        scale = next((s for s in _SCALES if s >= peak), _SCALES[-1])
        raise ClipError(
            f"holds samples up to {peak:g}, as integers written as floats do; full scale is 1: "
            f"divide them, perhaps by {scale}"
        )


def _mixed(samples: NDArray[np.float32]) -> tuple[NDArray[np.float32], list[str]]:
    """Return the mean of the channels, or the loudest one where they cancel each other.

    They do, as those of a cable with its poles swapped, where the mean has less than a tenth of the
    energy that independent channels would leave.
    """
    count = samples.shape[1]
    # Summed by columns: as `mean`, several times as fast.
    mono = sum(samples.T[1:], start=samples[:, 0]) / np.float32(count)
    if float(np.vdot(mono, mono)) >= _CANCELLED * float(np.vdot(samples, samples)) / count**2:
        return mono, []
    loudest = int(np.argmax(np.square(samples).sum(axis=0)))
    return samples[:, loudest], [
        f"has channels that cancel each other (opposite phase): of them channel {loudest + 1}, the "
        "loudest, is taken"
    ]


def _odd_level(mono: NDArray[np.float32], high: float, low: float) -> list[str]:
    peak = max(high, -low)
    if high == low:
        return ["is silent: every sample is the same"]
    if peak < QUIET:
        return [f"is nearly silent: its peak is {20 * np.log10(peak):.0f} dB of full scale"]
    if peak > 0.98:
        share = float(np.mean(np.abs(mono) > 0.98 * peak))
        if share > _CLIPPED:
            return [f"is clipped throughout: {share:.0%} of its samples are at full scale"]
    return []
