"""How loud the speech of a clip is, and one level for all: how far the microphone stood is no news.

After the active speech level of ITU-T P.56, whose pauses do not count.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

FRAME = 512  # samples at 16 kHz, 32 ms: what the voice activity detector takes too
ACTIVE = 1e-3  # of the power of the loudest frame: 30 dB under it
DECIBELS = -26.0  # under full scale: P.56's nominal level
MOST_GAIN = 40.0  # dB: what is softer still is hiss and hum
HEARD = 60.0  # dB under the loudest frame; what is softer is no room's noise
CLICK_FRAME = 160  # samples, 10 ms
CLICK_FRAMES = 9  # what is over in less than half of them does not last
CLICK = 100.0  # of the power of the loudest that lasts, 20 dB over it


def active_level(samples: Samples) -> float:
    """Return the root mean square of what is loud, of 1 at full scale: frames within 30 dB."""
    power = frame_power(samples)
    return float(np.sqrt(power[power >= ACTIVE * power.max()].mean())) if len(power) else 0.0


def frame_power(samples: NDArray[np.floating], frame: int = FRAME) -> NDArray[np.float64]:
    """Return the mean square of each frame, the last one filled up with zeros, (frames,)."""
    padded = np.pad(samples, (0, -len(samples) % frame)).astype(np.float64)
    return np.asarray(np.square(padded).reshape(-1, frame).mean(axis=1))


def without_silence(samples: Samples) -> Samples:
    """Return the samples without the 10 ms at either end that nothing is heard in.

    Those are `HEARD` and more under the loudest: silence that was put before or after a recording,
    which says nothing of it. Silence stays as it is.
    """
    if not len(samples):
        return samples
    frames = np.pad(samples, (0, -len(samples) % CLICK_FRAME), "edge").reshape(-1, CLICK_FRAME)
    power = frames.var(axis=1, dtype=np.float64)
    heard = np.flatnonzero(power >= 10 ** (-HEARD / 10) * power.max())
    return samples[heard[0] * CLICK_FRAME : (heard[-1] + 1) * CLICK_FRAME]


def at_one_level(samples: Samples) -> Samples:
    """Return the samples without offset or clicks, with an active level of -26 dB of full scale.

    They are raised by 40 dB at most; digital silence stays as it is. Peaks may exceed full scale.
    """
    if not len(samples):
        return samples
    samples = without_clicks(samples)
    centred = samples - samples.mean(dtype=np.float64)
    level = active_level(centred)
    gain = min(10 ** (DECIBELS / 20) / max(level, 1e-9), 10 ** (MOST_GAIN / 20))
    return np.asarray(centred * gain, dtype=np.float32)


def without_clicks(samples: Samples) -> Samples:
    """Return the samples with each 10 ms that is a click brought down to the level around it.

    Beside a click soft speech would be silence to whatever measures against the loudest. What
    lasts is the running median of the power over 90 ms; in 2,040 recordings of speech no frame is
    over 15 dB above the loudest that lasts, and a click is over 20 dB. Without one, the samples are
    those given.
    """
    if not len(samples):
        return samples
    power = frame_power(samples - samples.mean(dtype=np.float64), CLICK_FRAME)
    near = np.lib.stride_tricks.sliding_window_view(np.pad(power, CLICK_FRAMES // 2), CLICK_FRAMES)
    around = np.median(near, axis=1)  # scipy's takes as long to import as to score a clip
    clicks = power > CLICK * around.max()
    if not around.any() or not clicks.any():
        return samples
    gains = np.sqrt(np.where(clicks, around / np.where(clicks, power, 1.0), 1.0))
    return np.asarray(samples * gains.repeat(CLICK_FRAME)[: len(samples)], dtype=np.float32)
