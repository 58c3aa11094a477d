"""Short-time frames of a waveform, their spectra and levels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft, signal, sparse

from audiomatch.audio import SAMPLE_RATE

FRAME = 400  # 25 ms
HOP = 160  # 10 ms
N_FFT = 512
BANDS = 40
FRAMES_PER_SECOND = SAMPLE_RATE / HOP
SILENCE = 1e-12  # mean square; -120 dB of full scale, below the noise of 16 bits
FLOOR = 1e-8  # part of the loudest frame or band, 80 dB under it, below which nothing is told apart
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Spectrogram:
    """A waveform in frames of 25 ms every 10 ms.

    Attributes:
        wave: samples at 16 kHz, at least one frame of them, shape (samples,).
        seconds: length of the clip as it came.
        power: power spectrum of Hann-windowed frames, shape (frames, 257).
        level: mean square of each frame about its mean in dB of full scale, at least -120 and at
            least 80 dB under the loudest frame, shape (frames,).
    """

    wave: Floats
    seconds: float
    power: Floats
    level: Floats


def spectrogram(samples: NDArray[np.float32]) -> Spectrogram:
    """Cut `samples` (16 kHz, any length from 1) into frames and take their power spectra.

    Each frame is taken about its own mean: a microphone's constant offset is no sound.
    """
    wave = samples.astype(np.float64)
    seconds = wave.size / SAMPLE_RATE
    if wave.size < FRAME:
        wave = np.pad(wave, (0, FRAME - wave.size))
    frames = np.lib.stride_tricks.sliding_window_view(wave, FRAME)[::HOP]
    frames = frames - frames.mean(axis=1, keepdims=True)
    square = np.mean(frames**2, axis=1)
    level = 10 * np.log10(np.maximum(square, max(SILENCE, FLOOR * float(square.max()))))
    window = signal.get_window("hann", FRAME)
    power = np.abs(fft.rfft(frames * window, N_FFT, axis=1)) ** 2
    return Spectrogram(wave, seconds, power, level)


@lru_cache(maxsize=1)
def mel_filters() -> sparse.csr_array:
    """Return triangular filters on the mel scale, 20 Hz to 8 kHz, shape (257, 40).

    Mel is 2595 log10(1 + f / 700) (O'Shaughnessy, Speech Communication, 1987).
    """
    top = 2595 * np.log10(1 + (SAMPLE_RATE / 2) / 700)
    bottom = 2595 * np.log10(1 + 20 / 700)
    edges = 700 * (10 ** (np.linspace(bottom, top, BANDS + 2) / 2595) - 1)
    bins = fft.rfftfreq(N_FFT, 1 / SAMPLE_RATE)[:, None]
    rise = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    fall = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return sparse.csr_array(np.clip(np.minimum(rise, fall), 0, None))


def log_mel(power: Floats) -> Floats:
    """Return natural log mel energies of shape (frames, 40).

    The floor is 80 dB under the clip's loudest band, so a gain moves every value by one constant.
    """
    energy = power @ mel_filters()
    peak = float(energy.max(initial=0.0))
    return np.log(np.maximum(energy, peak * FLOOR)) if peak > 0 else np.zeros_like(energy)


def cepstrum(mel: Floats, count: int = 13) -> Floats:
    """Return mel-frequency cepstral coefficients, shape (frames, count), c0 first.

    Orthonormal DCT-II of the log mel energies (Davis and Mermelstein, IEEE TASSP, 1980).
    """
    return np.asarray(fft.dct(mel, type=2, norm="ortho", axis=1)[:, :count])
