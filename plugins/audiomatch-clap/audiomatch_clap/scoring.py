"""From embeddings to logits."""

from __future__ import annotations

import math

import torch
from audiomatch_torch import without_autocast
from torch import Tensor, nn

FIRST_SCALE = 1 / 0.07  # CLAP's own, before it is learned (Wu et al., 2023)


class Similarity(nn.Module):
    """The cosine of two embeddings of length 1, scaled and moved."""

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(FIRST_SCALE)))
        self.offset = nn.Parameter(torch.zeros(()))

    def forward(self, audio: Tensor, text: Tensor) -> Tensor:
        """Embeddings (n, width) to logits (n,)."""
        with without_autocast(audio.device):
            cosine = (audio.float() * text.float()).sum(-1)
            return cosine * self.log_scale.exp() + self.offset


class PairHead(nn.Module):
    """A layer of hidden units over both embeddings, their product and their difference."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.scale = math.sqrt(width)  # the numbers of an embedding of length 1 are that small
        self.layers = nn.Sequential(
            nn.Linear(4 * width, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, 1)
        )

    def forward(self, audio: Tensor, text: Tensor) -> Tensor:
        """Embeddings (n, width) to logits (n,)."""
        with without_autocast(audio.device):
            a, t = audio.float() * self.scale, text.float() * self.scale
            logits: Tensor = self.layers(torch.cat([a, t, a * t, (a - t).abs()], dim=-1))
            return logits.squeeze(-1)
