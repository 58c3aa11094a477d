"""All features of one waveform, under their names."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from audiomatch.audio import SAMPLE_RATE
from audiomatch.level import without_silence
from audiomatch_boosting.features.frames import (
    N_FFT,
    Floats,
    Spectrogram,
    cepstrum,
    log_mel,
    spectrogram,
)
from audiomatch_boosting.features.pitch import pitch_features
from audiomatch_boosting.features.speech import (
    active_frames,
    dynamics_features,
    level_features,
    speech_features,
)

EDGES = (0, 300, 1000, 2000, 3500, 8000)  # Hz; voicing and F1, F1, F2, F3, frication
PARTS = ("first", "middle", "last")


def audio_features(samples: NDArray[np.float32]) -> dict[str, float]:
    """Return the features of a clip (16 kHz, shape (samples,), any length from 1).

    All finite. Only those named `level_*` depend on the gain, unless speech is under -75 dB of
    full scale. Silence before and after what is heard is left out.
    """
    frames = spectrogram(without_silence(samples))
    active = active_frames(frames.level)
    spoken = active if active.any() else np.ones_like(active)
    features = speech_features(frames, active)
    features |= level_features(frames, active)
    features |= dynamics_features(frames, active)
    features |= pitch_features(frames, active)
    features |= _spectral(frames, spoken)
    features |= _cepstral(frames, spoken)
    return {name: float(value) for name, value in features.items()}


def _shares(power: Floats) -> Floats:
    """Return the share of each band's power in each frame, shape (frames, 5)."""
    bins = fft.rfftfreq(N_FFT, 1 / SAMPLE_RATE)
    band = np.searchsorted(EDGES, bins, side="right") - 1
    band[-1] = len(EDGES) - 2
    sums = np.stack([power[:, band == i].sum(axis=1) for i in range(len(EDGES) - 1)], axis=1)
    total = sums.sum(axis=1, keepdims=True)
    shares = np.zeros_like(sums)
    np.divide(sums, total, out=shares, where=total > 0)
    return shares


def _spectral(frames: Spectrogram, spoken: NDArray[np.bool_]) -> dict[str, float]:
    """Return mean and spread of spectral shape over the speech; kHz and shares."""
    power = frames.power[spoken]
    total = power.sum(axis=1)
    density = np.divide(power, total[:, None], out=np.zeros_like(power), where=total[:, None] > 0)
    khz = fft.rfftfreq(N_FFT, 1 / SAMPLE_RATE) / 1000
    centroid = density @ khz
    spread = np.sqrt(np.maximum(density @ khz**2 - centroid**2, 0))
    rolloff = khz[np.minimum((np.cumsum(density, axis=1) < 0.85).sum(axis=1), khz.size - 1)]
    floored = np.maximum(power, 1e-12 * total[:, None] + 1e-300)
    flatness = np.exp(np.log(floored).mean(axis=1)) / floored.mean(axis=1)
    flux = np.sqrt((np.diff(density, axis=0) ** 2).sum(axis=1)) if len(density) > 1 else np.zeros(1)
    series = {"centroid": centroid, "bandwidth": spread, "rolloff": rolloff, "flatness": flatness}
    shares = _shares(power)
    series |= {f"band{i}": shares[:, i] for i in range(1, shares.shape[1])}
    result = {"flux": float(flux.mean())}
    for name, values in series.items():
        result[f"{name}_mean"], result[f"{name}_std"] = values.mean(), values.std()
    # Fricatives and affricates put most of their power above 3.5 kHz.
    hissing = shares[:, -1] > 0.5
    result["hiss_share"] = hissing.mean()
    result["hiss_count"] = np.clip(np.diff(hissing.astype(np.int8), prepend=0), 0, 1).sum()
    edge = max(1, min(15, len(hissing) // 4))
    for name, part in (("start", slice(0, edge)), ("end", slice(-edge, None))):
        result[f"hiss_{name}"] = hissing[part].mean()
        result[f"centroid_{name}"] = centroid[part].mean()
    return result


def _cepstral(frames: Spectrogram, spoken: NDArray[np.bool_]) -> dict[str, float]:
    """Return statistics of MFCC 1 to 12: c0 is the level, which has features of its own."""
    mfcc = cepstrum(log_mel(frames.power))[spoken, 1:]
    delta = np.gradient(mfcc, axis=0) if len(mfcc) > 1 else np.zeros_like(mfcc)
    result: dict[str, float] = {}
    for i in range(mfcc.shape[1]):
        result[f"mfcc{i + 1}_mean"] = mfcc[:, i].mean()
        result[f"mfcc{i + 1}_std"] = mfcc[:, i].std()
        result[f"mfcc{i + 1}_delta"] = np.abs(delta[:, i]).mean()
    whole = mfcc.mean(axis=0)
    for name, part in zip(PARTS, np.array_split(mfcc, 3), strict=True):
        for i in range(4):
            value = part[:, i].mean() - whole[i] if len(part) else 0.0
            result[f"mfcc{i + 1}_{name}"] = value
    return result
