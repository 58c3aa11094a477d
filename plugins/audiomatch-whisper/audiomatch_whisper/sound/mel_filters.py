"""Whisper's log-mel spectrogram of samples (Radford et al., 2022), as transformers computes it."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiomatch.audio import SAMPLE_RATE

WINDOW = 400  # samples, 25 ms
HOP = 160  # samples, 10 ms
HIGHEST = 8000.0  # Hz
DEPTH = 8.0  # log10 of power below the loudest bin, under which all is as quiet


class MelExtractor:
    """Computes the log-mel spectrogram of so many bins."""

    def __init__(self, mels: int = 80) -> None:
        self.mels = mels

    def __call__(self, wave: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the spectrogram of samples at 16 kHz, (mels, samples / 160)."""
        window = torch.hann_window(WINDOW)
        found = torch.stft(
            torch.from_numpy(wave), WINDOW, HOP, window=window, return_complex=True
        )  # (bins, frames + 1)
        power = (found[:, :-1].abs() ** 2).contiguous()
        level = (self._filters.T @ power).clamp(min=1e-10).log10()  # (mels, frames)
        level = torch.maximum(level, level.max() - DEPTH)
        out: NDArray[np.float32] = ((level + 4.0) / 4.0).numpy()
        return out

    @cached_property
    def _filters(self) -> Tensor:
        """Slaney's triangles on the mel scale, each of the same area, (bins, mels)."""
        edges = _hertz(np.linspace(0.0, _mel(HIGHEST), self.mels + 2))
        bins = np.linspace(0.0, SAMPLE_RATE / 2, WINDOW // 2 + 1)
        slopes = edges - bins[:, None]  # (bins, mels + 2)
        width = np.diff(edges)
        triangles = np.minimum(-slopes[:, :-2] / width[:-1], slopes[:, 2:] / width[1:])
        area = 2.0 / (edges[2:] - edges[:-2])
        return torch.from_numpy(np.maximum(0.0, triangles) * area).float()


_LINEAR = 200.0 / 3  # Hz a mel below 1 kHz
_KNEE = 1000.0  # Hz, above which a mel is a ratio
_RATIO = np.log(6.4) / 27.0


def _mel(hertz: float) -> float:
    """Return the mels of a frequency of 1 kHz or more."""
    return float(_KNEE / _LINEAR + np.log(hertz / _KNEE) / _RATIO)


def _hertz(mels: NDArray[np.float64]) -> NDArray[np.float64]:
    knee = _KNEE / _LINEAR
    above = _KNEE * np.exp(_RATIO * (np.maximum(mels, knee) - knee))
    return np.where(mels < knee, mels * _LINEAR, above)
