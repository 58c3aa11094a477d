"""Clips as arrays, a clip at a time, and batches of equally long ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiomatch.audio import MAX_SECONDS, SAMPLE_RATE, map_audio
from audiomatch.clips import Clips
from audiomatch.matcher import Run

Prepare = Callable[[NDArray[np.float32]], NDArray[np.float32]]
_STEP = SAMPLE_RATE // 2
_FULL = int(MAX_SECONDS * SAMPLE_RATE)


def normalised_wave(audio: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the clip with mean 0 and variance 1, then silence up to the next half second.

    What HuBERT and its kin were trained on (`Wav2Vec2FeatureExtractor`, `do_normalize`).
    """
    wave = np.zeros(min(-(-len(audio) // _STEP) * _STEP, _FULL), dtype=np.float32)
    wave[: len(audio)] = (audio - audio.mean()) / np.sqrt(audio.var() + 1e-7)
    return wave


class Sounds:
    """What an audio encoder is given of some clips.

    Attributes:
        seconds: how long each clip is, float64 of shape (n,).
        padded: how long it is with the silence that follows, in seconds; a function of the clip
            alone.
    """

    def __init__(self, clips: Clips, prepare: Prepare, rate: int, run: Run) -> None:
        """Load and prepare every clip; raises `ClipError` with the clip's row.

        `prepare` gives an array whose last axis is time, of `rate` steps a second.
        """

        def one(audio: NDArray[np.float32]) -> tuple[float, NDArray[np.float32]]:
            return len(audio) / SAMPLE_RATE, prepare(audio)

        found = map_audio(clips, one, run, "listen")
        self._arrays = [array for _, array in found]
        self.seconds = np.array([seconds for seconds, _ in found])
        self.padded = np.array([array.shape[-1] for array in self._arrays]) / rate

    def __call__(self, rows: NDArray[np.int64]) -> Tensor:
        """Return float32 of shape (rows, ..., time); the rows must be equally long when padded."""
        return torch.from_numpy(np.stack([self._arrays[i] for i in rows]))
