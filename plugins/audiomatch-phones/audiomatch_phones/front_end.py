"""From samples to the features that the acoustic model was trained on, as pocketsphinx makes them.

25 mel bands, noise removed by spectral subtraction with temporal masking, 13 liftered cepstra less
their mean over the clip, and their first and second differences; 100 frames a second. The axis of
frequencies may be warped, for speakers whose vocal tracts are shorter or longer than most (Lee and
Rose, 1998): a child's resonances are where the model expects them at a warp of about 1.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from audiomatch.audio import SAMPLE_RATE

Vector = NDArray[np.float64]
WINDOW, HOP, TRANSFORM = 410, 160, 512  # samples
SECONDS = HOP / SAMPLE_RATE  # of a frame
BANDS, CEPSTRA, LIFTER = 25, 13, 22
LOWEST, HIGHEST = 130.0, 6800.0  # Hz
KNEE = 0.8  # of the highest frequency: above it a warp bends back, so that this one stays
EMPHASIS = 0.97
FULL_SCALE = 32768
FLOOR = 1e-4  # of a band's power
# Noise removal: how slowly power, the lower envelope (rising, falling) and the mask follow, and how
# far a band is turned down.
POWER, RISING, FALLING, MASK, MASKED, MOST = 0.7, 0.995, 0.5, 0.85, 0.2, 20.0
NEIGHBOURS = 4  # bands on either side over which a gain is smoothed


def features(samples: NDArray[np.float32], warps: Sequence[float] = (1.0,)) -> NDArray[np.float32]:
    """Return the features of a clip at 16 kHz by each warp, (warps, frames, streams, 13)."""
    power = _spectra(samples)  # (frames, bins)
    filters = np.stack([_filters(warp) for warp in warps])  # (warps, bins, bands)
    bands = _without_noise(power @ filters)  # (warps, frames, bands)
    cepstra = np.log(bands + FLOOR) @ _transform()  # (warps, frames, 13)
    return np.stack([_streams(one) for one in cepstra])


def _streams(cepstra: Vector) -> NDArray[np.float32]:
    """Return cepstra less their mean, and their differences: (frames, 13) to (frames, 3, 13)."""
    heard = cepstra[cepstra[:, 0] >= 0]  # frames with any energy
    cepstra = cepstra - (heard if len(heard) else cepstra).mean(axis=0)
    padded = np.pad(cepstra, ((3, 3), (0, 0)), mode="edge")
    first = padded[4:] - padded[:-4]  # of each frame and its neighbours
    return np.stack([cepstra, first[1:-1], first[2:] - first[:-2]], axis=1).astype(np.float32)


def _spectra(samples: NDArray[np.float32]) -> Vector:
    """Return the power spectrum of each frame, at least one, (frames, bins)."""
    x = np.rint(samples.astype(np.float64) * FULL_SCALE)
    x = np.r_[x[:1], x[1:] - EMPHASIS * x[:-1]]
    count = max(1, -(-(len(x) - WINDOW) // HOP) + 1)
    x = np.pad(x, (0, max(0, (count - 1) * HOP + WINDOW - len(x))))
    frames = np.lib.stride_tricks.sliding_window_view(x, WINDOW)[::HOP]
    return np.asarray(np.abs(np.fft.rfft(frames * np.hamming(WINDOW), TRANSFORM, axis=1)) ** 2)


@cache
def _transform() -> Vector:
    """Return the cosine transform of the bands' logarithms, liftered, (bands, 13)."""
    order = np.arange(CEPSTRA)
    cosines = np.cos(np.pi * np.outer(np.arange(BANDS) + 0.5, order) / BANDS)
    scale = np.sqrt(np.where(order == 0, 1, 2) / BANDS)
    return np.asarray(cosines * scale * (1 + LIFTER / 2 * np.sin(np.pi * order / LIFTER)))


@cache
def _filters(warp: float) -> Vector:
    """Return triangular mel filters of unit area, edges on bins, (bins, bands)."""
    step = SAMPLE_RATE / TRANSFORM
    low, high = (2595 * np.log10(1 + hertz / 700) for hertz in (LOWEST, HIGHEST))
    edges = 700 * (10 ** (np.linspace(low, high, BANDS + 2) / 2595) - 1)
    knee = KNEE * HIGHEST / max(warp, 1.0)
    bent = knee * warp + (edges - knee) * (HIGHEST - knee * warp) / (HIGHEST - knee)
    edges = np.where(edges <= knee, edges * warp, bent)
    edges = np.floor(edges / step + 0.5) * step
    hertz = np.arange(TRANSFORM // 2 + 1)[:, None] * step
    left, middle, right = edges[:-2], edges[1:-1], edges[2:]
    slopes = np.minimum((hertz - left) / (middle - left), (right - hertz) / (right - middle))
    return np.asarray(np.maximum(slopes, 0) * 2 / (right - left))


def _without_noise(bands: Vector) -> Vector:
    """Turn down what is noise in the power of each band, (warps, frames, bands)."""
    start = int(bands[0].any(axis=1).argmax())  # digital silence tells nothing of the noise
    now = bands[:, start]
    noise = floor = now / MOST
    peak = np.zeros_like(noise)
    gains = np.ones_like(bands)
    for frame in range(start, bands.shape[1]):
        now = POWER * now + (1 - POWER) * bands[:, frame]
        noise = _envelope(noise, now)
        signal = np.maximum(now - noise, 1.0)
        floor = _envelope(floor, signal)
        peak = peak * MASK
        masked = np.where(signal < MASK * peak, peak * MASKED, signal)
        peak = np.maximum(peak, signal)
        gains[:, frame] = np.maximum(masked, floor) / np.maximum(now, 1e-30)
    return np.asarray(bands * (np.clip(gains, 1 / MOST, MOST) @ _smoothing()))


def _envelope(last: Vector, now: Vector) -> Vector:
    """Follow the lower envelope: slowly upwards, fast downwards."""
    return now + np.where(now >= last, RISING, FALLING) * (last - now)


@cache
def _smoothing() -> Vector:
    """Return what takes the mean of each band's neighbours, (bands, bands)."""
    band = np.arange(BANDS)
    near = np.abs(band[:, None] - band) <= NEIGHBOURS
    return np.asarray(near / near.sum(axis=0))
