"""The spectrogram, and the network that compares it with the text."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from audiomatch.audio import SAMPLE_RATE

WINDOW, HOP = 400, 160  # samples: 25 ms, 10 ms
BINS = WINDOW // 2 + 1
STEP = SAMPLE_RATE // 2
CODES = 512  # code points that differ by a multiple of it share an embedding


def spectrogram(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the log power (bins, frames) of a clip, with silence up to the next half second."""
    padded = np.pad(samples, (0, -len(samples) % STEP))
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(WINDOW))) ** 2  # (frames, bins)
    return np.log(power + 1e-4).T.astype(np.float32)


class SmallCnn(nn.Module):
    """Two embeddings and three lengths, compared by a layer of hidden units."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.audio = nn.Sequential(
            nn.Conv1d(BINS, width, 5, stride=2, padding=2),
            nn.GroupNorm(4, width),  # of one clip: no clip's numbers depend on its batch mates
            nn.GELU(),
            nn.Conv1d(width, width, 5, stride=2, padding=2),
            nn.GELU(),
        )
        self.text = nn.EmbeddingBag(CODES, width, mode="mean")
        self.head = nn.Sequential(
            nn.Linear(3 * width + 3, width), nn.GELU(), nn.Dropout(dropout), nn.Linear(width, 1)
        )

    def forward(self, sounds: Tensor, codes: Tensor, starts: Tensor, lengths: Tensor) -> Tensor:
        """Return the logits (n,).

        Args:
            sounds: equally long spectrograms, (n, bins, frames).
            codes: the characters of all texts, one text after the other, (characters,).
            starts: where each text starts in `codes`, (n,).
            lengths: log seconds, log characters and their difference, (n, 3).
        """
        audio = self.audio(sounds).mean(2)  # (n, width)
        text = self.text(codes, starts)  # (n, width)
        logits: Tensor = self.head(torch.cat([audio, text, audio * text, lengths], 1))
        return logits.squeeze(1)
