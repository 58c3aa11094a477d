"""The logistic head over the evidence."""

from __future__ import annotations

import numpy as np
import torch
from audiomatch_torch import without_autocast
from numpy.typing import NDArray
from torch import Tensor, nn


class Head(nn.Module):
    """Standardises the evidence by fixed means and scales, then one linear unit."""

    mean: Tensor
    scale: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        self.linear = nn.Linear(width, 1)

    def forward(self, evidence: Tensor) -> Tensor:
        """Evidence (n, width) to logits (n,)."""
        with without_autocast(evidence.device):
            logits: Tensor = self.linear((evidence.float() - self.mean) / self.scale)
            return logits.squeeze(1)

    def fit(self, evidence: NDArray[np.float64], labels: NDArray[np.int8]) -> None:
        """Start from the logistic regression on the evidence of the untrained model."""
        from sklearn.linear_model import LogisticRegression  # seconds, which predicting has not

        mean, scale = evidence.mean(0), evidence.std(0)
        scale[scale < 1e-6] = 1.0
        fitted = LogisticRegression(max_iter=1000).fit((evidence - mean) / scale, labels)
        with torch.no_grad():
            self.mean.copy_(torch.from_numpy(mean))
            self.scale.copy_(torch.from_numpy(scale))
            self.linear.weight.copy_(torch.from_numpy(fitted.coef_))
            self.linear.bias.copy_(torch.from_numpy(fitted.intercept_))
