"""Log-mel spectrograms of fixed crops: the same clip always gives the same ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import soxr
import torch
from numpy.typing import NDArray
from transformers import ClapFeatureExtractor

from audiomatch.audio import SAMPLE_RATE, each_audio, load_clip
from audiomatch.cache import ArrayCache
from audiomatch.clips import Clips
from audiomatch.matcher import Run
from audiomatch.running.identity import computed_by

QUIETEST = 1e-10
# All of ClapFeatureExtractor's options that decide a spectrogram.
OPTIONS = (
    "feature_size", "sampling_rate", "hop_length", "max_length_s", "fft_window_size",
    "frequency_min", "frequency_max", "truncation", "padding",
)  # fmt: skip


def crops(audio: NDArray[np.float32], window: int, padding: str) -> NDArray[np.float32]:
    """Cut a clip into crops of `window` samples, shape (crops, window).

    A longer clip gives the fewest crops that cover it, evenly spaced from its start to its end. A
    shorter one is repeated as often as it fits whole and followed by silence (`repeatpad`),
    repeated and cut (`repeat`), or followed by silence (`pad`), as `ClapFeatureExtractor` does.
    """
    if len(audio) > window:
        count = -(-len(audio) // window)
        starts = np.linspace(0, len(audio) - window, count).round().astype(int)
        return np.stack([audio[start : start + window] for start in starts])
    if padding == "repeat":
        return np.resize(audio, window)[None]
    if padding == "repeatpad":
        audio = np.tile(audio, window // len(audio))
    return np.pad(audio, (0, window - len(audio)))[None]


def log_mel(waves: NDArray[np.float32], extractor: ClapFeatureExtractor) -> NDArray[np.float32]:
    """Return log-mel spectrograms in dB: (crops, samples) to (crops, frames, mels).

    What `ClapFeatureExtractor` computes with a loop over frames, several times as fast.
    """
    fused = extractor.truncation == "fusion"
    filters = extractor.mel_filters if fused else extractor.mel_filters_slaney
    size = extractor.fft_window_size
    spectrum = torch.stft(
        torch.from_numpy(waves).double(),
        size,
        extractor.hop_length,
        window=torch.hann_window(size, dtype=torch.float64),
        center=True,
        pad_mode="reflect",
        return_complex=True,
    )
    power = spectrum.abs().square().transpose(1, 2) @ torch.from_numpy(filters)
    return np.asarray(10 * power.clamp(min=QUIETEST).log10(), dtype=np.float32)


class Mels:
    """The spectrograms of some clips, computed when asked for and perhaps kept in the cache."""

    def __init__(self, clips: Clips, extractor: ClapFeatureExtractor, run: Run) -> None:
        """Take the clips; nothing is computed yet."""
        self.clips, self.extractor, self.run = clips, extractor, run
        self.window = int(extractor.max_length_s * extractor.sampling_rate)
        self._kept: list[NDArray[np.float32]] | None = None

    def compute(self, audio: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the crops of one clip: (samples,) to (crops, frames, mels)."""
        rate = int(self.extractor.sampling_rate)
        if rate != SAMPLE_RATE:
            audio = soxr.resample(audio, SAMPLE_RATE, rate)
        return log_mel(crops(audio, self.window, self.extractor.padding), self.extractor)

    def keep(self) -> NDArray[np.int64]:
        """Compute what the cache does not have; returns the number of crops of each clip."""

        def missing(positions: list[int]) -> Iterator[NDArray[np.float32]]:
            return each_audio(self.clips.take(positions), self.compute, self.run, "log-mel")

        version = [computed_by(__name__), settings(self.extractor)]
        cache = ArrayCache(self.run, "clap-mel", version)
        self._kept = cache.fill(self.clips.digests, missing)
        return np.array([len(mel) for mel in self._kept], dtype=np.int64)

    def __getitem__(self, i: int) -> NDArray[np.float32]:
        if self._kept is not None:
            return np.array(self._kept[i])  # the cache's own is not to be written to
        return self.compute(load_clip(self.clips, i))


def settings(extractor: ClapFeatureExtractor) -> dict[str, Any]:
    """Return all of an extractor that decides the numbers of `Mels`."""
    return {name: getattr(extractor, name) for name in OPTIONS}
