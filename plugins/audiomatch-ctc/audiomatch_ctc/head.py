"""The logistic head over the CTC evidence."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from audiomatch_ctc.ctc import NAMES

LEAST_SLOPE = 1e-4
# Nats. Evidence that hardly differs must not be blown up until the rounding of a batch shows.
LEAST_SCALE = 0.1


class EvidenceHead(nn.Module):
    """A logistic over the standardised evidence, whose slope for the score is positive.

    Were the sign free, the binary loss could as well teach the model to give matches the lower
    likelihood; then it would pull against CTC.
    """

    mean: Tensor
    scale: Tensor
    unread: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(len(NAMES), dtype=torch.float64))
        self.register_buffer("scale", torch.ones(len(NAMES), dtype=torch.float64))
        self.log_slope = nn.Parameter(torch.zeros((), dtype=torch.float64))
        self.rest = nn.Parameter(torch.zeros(len(NAMES) - 1, dtype=torch.float64))
        self.offset = nn.Parameter(torch.zeros((), dtype=torch.float64))
        self.register_buffer("unread", torch.zeros((), dtype=torch.float64))

    def forward(self, evidence: Tensor) -> Tensor:
        """Evidence, float64 (n, 3), to logits (n,); a text without evidence gets `unread`."""
        own = (evidence.to(self.mean.device) - self.mean) / self.scale
        logits = self.log_slope.exp() * own[:, 0] + own[:, 1:] @ self.rest + self.offset
        return torch.where((evidence == 0).all(1), self.unread, logits)

    def fit(self, evidence: NDArray[np.float64], labels: NDArray[np.int8]) -> None:
        """Start from the logistic regression on evidence (n, 3) and labels (n,)."""
        seen = ~(evidence == 0).all(1)
        if seen.sum() >= 2 and len(np.unique(labels[seen])) == 2:
            evidence, labels = evidence[seen], labels[seen]
        mean, scale = evidence.mean(0), evidence.std(0).clip(LEAST_SCALE)
        weights, offset = _logistic((evidence - mean) / scale, labels)
        with torch.no_grad():
            self.mean.copy_(torch.from_numpy(mean))
            self.scale.copy_(torch.from_numpy(scale))
            self.log_slope.fill_(float(np.log(max(weights[0], LEAST_SLOPE))))
            self.rest.copy_(torch.from_numpy(weights[1:]))
            self.offset.fill_(offset)
            self.unread.fill_(offset)  # until the calibrated model's own is known


def _logistic(
    evidence: NDArray[np.float64], labels: NDArray[np.int8]
) -> tuple[NDArray[np.float64], float]:
    """Logistic regression whose first weight is not negative."""
    if len(np.unique(labels)) < 2:  # a tiny part may hold one class: its smoothed rate
        rate = (labels.sum() + 1) / (len(labels) + 2)
        return np.zeros(evidence.shape[1]), float(np.log(rate / (1 - rate)))
    for first in (0, 1):
        kept = evidence.copy()
        kept[:, :first] = 0.0
        fitted = LogisticRegression(max_iter=1000).fit(kept, labels)
        if fitted.coef_[0, 0] >= 0:
            break
    return fitted.coef_[0], float(fitted.intercept_[0])
