"""Audio as a CTC model takes it: each clip normalised alone, padded to a multiple of 0.5 s."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import (
    ParakeetFeatureExtractor,
    SeamlessM4TFeatureExtractor,
    Wav2Vec2FeatureExtractor,
)

from audiomatch.audio import SAMPLE_RATE, map_audio
from audiomatch.clips import Clips
from audiomatch.matcher import Run

Extractor: TypeAlias = (
    Wav2Vec2FeatureExtractor | SeamlessM4TFeatureExtractor | ParakeetFeatureExtractor
)

STEP_SECONDS = 0.5
# A shorter clip is followed by silence up to this: the convolutions need 25 ms for one frame.
LEAST_SAMPLES = SAMPLE_RATE // 10
_HOP = 160


def extract(audio: NDArray[np.float32], extractor: Extractor) -> NDArray[np.float32]:
    """Return what the model sees of one clip, not padded: (samples,), or (frames, bins)."""
    wave = np.zeros(max(len(audio), LEAST_SAMPLES), dtype=np.float32)
    wave[: len(audio)] = audio
    out = extractor(wave, sampling_rate=SAMPLE_RATE, return_tensors="np", **_unpadded(extractor))
    found = np.asarray(out[extractor.model_input_names[0]][0], dtype=np.float32)
    if isinstance(extractor, ParakeetFeatureExtractor):
        return found[: int(out["attention_mask"][0].sum())]  # without what its last frame pads
    return found


def _unpadded(extractor: Extractor) -> dict[str, Any]:
    if isinstance(extractor, SeamlessM4TFeatureExtractor):
        return {"padding": False, "pad_to_multiple_of": None}
    return {"padding": False}


def _samples_a_step(extractor: Extractor) -> int:
    """How many samples the smallest piece of input holds: one, or those of stacked frames."""
    if isinstance(extractor, ParakeetFeatureExtractor):
        return int(extractor.hop_length)
    mel = isinstance(extractor, SeamlessM4TFeatureExtractor)
    return _HOP * int(getattr(extractor, "stride", 1)) if mel else 1


class Sounds:
    """What a CTC model takes of some clips.

    A model with group normalisation (base sizes) was trained without attention masks and notices
    zeros after the clip. How many there are depends on the clip's own length alone, and clips
    share a batch only where they are padded to one length, so batch mates change nothing.

    Attributes:
        sizes: samples or frames of each clip before padding, int64 (n,).
        seconds: how long each clip is with its padding, float64 (n,).
        rate: samples or frames a second.
    """

    def __init__(self, clips: Clips, extractor: Extractor, run: Run) -> None:
        """Load and transform every clip; raises `ClipError` with the clip's row."""
        self._own = map_audio(clips, lambda audio: extract(audio, extractor), run, "read")
        self.rate = SAMPLE_RATE / _samples_a_step(extractor)
        step = max(1, round(STEP_SECONDS * self.rate))
        self.sizes = np.array([len(own) for own in self._own], dtype=np.int64)
        self._padded = -(-self.sizes // step) * step
        self.seconds = self._padded / self.rate
        self._masked = bool(extractor.return_attention_mask)

    def __call__(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor | None]:
        """Return the inputs of equally long rows, (n, padded, ...), and their mask if one is used.

        The mask is int64 (n, padded): 1 where the clip is.
        """
        length = int(self._padded[rows[0]])
        first = self._own[rows[0]]
        out = np.zeros((len(rows), length, *first.shape[1:]), dtype=np.float32)
        mask = np.zeros((len(rows), length), dtype=np.int64)
        for at, i in enumerate(rows):
            out[at, : self.sizes[i]] = self._own[i]
            mask[at, : self.sizes[i]] = 1
        return torch.from_numpy(out), torch.from_numpy(mask) if self._masked else None
