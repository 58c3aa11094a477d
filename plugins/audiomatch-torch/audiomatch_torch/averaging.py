"""Weights averaged over the last steps of a training."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


def trainable(model: nn.Module) -> Iterable[nn.Parameter]:
    """Give the parameters that require gradients."""
    return (p for p in model.parameters() if p.requires_grad)


class Average:
    """The mean of the trained weights over the last `span` steps (Izmailov et al., 2018).

    Attributes:
        count: how many steps it is of so far.
        means: of each trained parameter, float32; empty before the first.
    """

    def __init__(self, model: nn.Module, span: int) -> None:
        self.model, self.span, self.count = model, span, 0
        self.means: list[Tensor] = []

    @torch.no_grad()
    def update(self, left: int) -> None:
        """Take in the weights after a step that `left` more will follow."""
        if left >= self.span:
            return
        now = [p.detach().float() for p in trainable(self.model)]
        self.count += 1
        if not self.means:
            self.means = [weight.clone() for weight in now]
            return
        for mean, weight in zip(self.means, now, strict=True):
            mean += (weight - mean) / self.count

    @torch.no_grad()
    def apply(self) -> None:
        """Put the mean in the weights' place."""
        for parameter, mean in zip(trainable(self.model), self.means, strict=bool(self.means)):
            parameter.copy_(mean)
