"""The logistic head over the evidence."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from audiomatch.clips import Clips
from audiomatch.linear import Linear
from audiomatch_asr.evidence import NAMES

# Nats. Evidence that hardly differs must not be blown up until the rounding of a batch shows.
LEAST_SCALE = 0.1
Vector = NDArray[np.float64]


class Head(nn.Module):
    """Standardises the evidence, then a logistic regression; float64, on the CPU."""

    mean: Tensor
    scale: Tensor
    slopes: Tensor
    bias: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("mean", "scale", "slopes"):
            self.register_buffer(name, torch.zeros(len(NAMES), dtype=torch.float64))
        self.register_buffer("bias", torch.zeros((), dtype=torch.float64))

    def forward(self, evidence: Vector) -> Vector:
        """Evidence (n, 7) to logits (n,)."""
        mean, scale, slopes = (b.numpy() for b in (self.mean, self.scale, self.slopes))
        return Linear(mean, scale, slopes, self.bias.item())(evidence)

    def fit(self, evidence: Vector, train: Clips, seed: int) -> None:
        """Learn the labels of `train`, with the penalty that suits clips of other groups."""
        made = Linear.fit(evidence, train, seed, least_scale=LEAST_SCALE)
        self.mean.copy_(torch.from_numpy(made.mean))
        self.scale.copy_(torch.from_numpy(made.scale))
        self.slopes.copy_(torch.from_numpy(made.slopes))
        self.bias.fill_(made.bias)
