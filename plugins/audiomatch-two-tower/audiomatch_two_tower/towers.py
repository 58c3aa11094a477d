"""Both towers and the head over their embeddings."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from audiomatch_two_tower.audio import AudioEncoder
from audiomatch_two_tower.config import TwoTowerConfig
from audiomatch_two_tower.text import TextTower


class AttentivePooling(nn.Module):
    """Weighted mean and standard deviation over time (Okabe et al., 2018): (n, t, d) to (n, 2d)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = nn.Linear(width, 1)

    def forward(self, states: Tensor) -> Tensor:
        """Pool over time."""
        states = self.norm(states)
        weights = self.attention(states).softmax(1)
        mean = (weights * states).sum(1)
        variance = (weights * (states - mean[:, None]).square()).sum(1)
        return torch.cat([mean, (variance + 1e-5).sqrt()], dim=1)


class Head(nn.Module):
    """A small network over both embeddings, their product and their absolute difference.

    With `lengths` it also sees the log of the clip's seconds, of the text's characters, and their
    difference, standardised over the training part: pooling forgets how long a clip was.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, config: TwoTowerConfig) -> None:
        super().__init__()
        self.lengths = config.lengths
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("scale", torch.ones(3))
        inputs = 4 * config.width + 3 * config.lengths
        self.layers = nn.Sequential(
            nn.Dropout(config.dropout),
            nn.Linear(inputs, config.hidden),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.hidden, 1),
        )

    def standardise(self, lengths: Tensor) -> None:
        """Take mean and scale of the lengths from the training part, shape (n, 3)."""
        self.mean.copy_(lengths.mean(0))
        self.scale.copy_(lengths.std(0, correction=0).clamp_min(1e-3))

    def forward(self, audio: Tensor, text: Tensor, lengths: Tensor) -> Tensor:
        """Embeddings (n, width) twice, and lengths (n, 3), to logits (n,)."""
        parts = [audio, text, audio * text, (audio - text).abs()]
        if self.lengths:
            parts.append((lengths - self.mean) / self.scale)
        logits: Tensor = self.layers(torch.cat(parts, dim=1)).squeeze(1)
        return logits


class Comparison(nn.Module):
    """What starts anew: pooling, a projection of each tower to one width, and the head."""

    def __init__(self, audio_width: int, text_width: int, config: TwoTowerConfig) -> None:
        super().__init__()
        self.pooling = AttentivePooling(audio_width)
        self.audio = nn.Sequential(
            nn.Dropout(config.dropout),
            nn.Linear(2 * audio_width, config.width),
            nn.LayerNorm(config.width),
        )
        self.text = nn.Sequential(nn.Linear(text_width, config.width), nn.LayerNorm(config.width))
        self.head = Head(config)

    def forward(self, states: Tensor, text: Tensor, lengths: Tensor) -> Tensor:
        """States (n, t, a), text embeddings (n, b) and lengths (n, 3) to logits (n,)."""
        logits: Tensor = self.head(self.audio(self.pooling(states)), self.text(text), lengths)
        return logits


class Towers(nn.Module):
    """The whole model; an encoder that is not trained stays in `eval` mode."""

    def __init__(self, audio: AudioEncoder, text: TextTower, config: TwoTowerConfig) -> None:
        super().__init__()
        self.audio = audio
        self.text = text
        self.comparison = Comparison(audio.width, text.width, config)

    def train(self, mode: bool = True) -> Towers:
        """Set the mode of what is trained."""
        super().train(mode)
        for tower in (self.audio, self.text):
            if not any(parameter.requires_grad for parameter in tower.parameters()):
                tower.eval()
        return self
