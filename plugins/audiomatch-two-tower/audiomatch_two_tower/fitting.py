"""Training with the best epoch kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from audiomatch_torch import Compute, binary_cross_entropy, predict, train
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.metrics import log_loss
from torch import Tensor, nn

from audiomatch_two_tower.audio import CnnEncoder
from audiomatch_two_tower.config import TwoTowerConfig
from audiomatch_two_tower.inputs import TowerInputs
from audiomatch_two_tower.towers import Towers

CLIP_NORM = 1.0


def fit_towers(
    towers: Towers,
    inputs: TowerInputs,
    labels: NDArray[np.int8],
    split: tuple[NDArray[np.int64], NDArray[np.int64]],
    config: TwoTowerConfig,
    compute: Compute,
) -> NDArray[np.float64]:
    """Train on the first part of `split` with one binary cross-entropy a clip.

    Leaves the weights of the epoch with the least log loss on the second part, and returns that
    epoch's logits there, float64 of shape (validation clips,).
    """
    fitted, validation = split
    best = _Best(towers, labels[validation])

    def validate(epoch: int) -> None:
        towers.eval()
        logits = predict(
            lambda rows: inputs.logits(validation[rows]),
            inputs.padded[validation],
            compute,
            capacity=inputs.capacity,
            shared=True,
            label="validate",
        )
        best.offer(epoch, logits)

    train(
        towers,
        binary_cross_entropy(lambda rows: inputs.logits(fitted[rows]), labels[fitted], compute),
        inputs.padded[fitted],
        replace(config.train_options(capacity=inputs.capacity), clip_norm=CLIP_NORM),
        compute,
        head=_new(towers),
        after_epoch=validate,
        memory=best,
    )
    best.restore()
    rate = np.full(len(validation), labels[fitted].mean())
    floor = log_loss(labels[validation], rate, labels=[0, 1])
    compute.run.note(best_epoch=best.epoch, validation_log_loss=round(best.loss, 4))
    if best.loss >= floor:
        compute.run.note(
            warning=f"no epoch beat the base rate on the inner validation part "
            f"(log loss {best.loss:.3f}, base rate {floor:.3f})"
        )
    return best.logits


def _new(towers: Towers) -> list[nn.Parameter]:
    """Return the parameters that no pretrained weights are of."""
    audio = towers.audio.parameters() if isinstance(towers.audio, CnnEncoder) else ()
    return [*towers.comparison.parameters(), *audio]


class _Best:
    """The trained weights of the epoch with the least log loss on the validation part."""

    def __init__(self, model: nn.Module, labels: NDArray[np.int8]) -> None:
        self.model, self.labels = model, labels
        self.loss, self.epoch = np.inf, 0
        self.logits: NDArray[np.float64] = np.zeros(len(labels))
        self._weights: list[Tensor] = []

    def offer(self, epoch: int, logits: NDArray[np.float64]) -> None:
        loss = float(log_loss(self.labels, expit(logits), labels=[0, 1]))
        if loss < self.loss:
            self.loss, self.epoch, self.logits = loss, epoch, logits
            self._weights = [p.detach().cpu().clone() for p in self._trained()]

    def state_dict(self) -> dict[str, Tensor]:
        weights = {f"weight.{i}": weight for i, weight in enumerate(self._weights)}
        facts = torch.tensor([self.loss, self.epoch], dtype=torch.float64)
        return {"best": facts, "logits": torch.from_numpy(self.logits), **weights}

    def load_state_dict(self, state_dict: dict[str, Tensor]) -> None:
        loss, epoch = state_dict["best"].tolist()
        self.loss, self.epoch, self.logits = loss, int(epoch), state_dict["logits"].numpy()
        self._weights = [state_dict[f"weight.{i}"] for i in range(len(state_dict) - 2)]

    @torch.no_grad()
    def restore(self) -> None:
        for parameter, weight in zip(self._trained(), self._weights, strict=True):
            parameter.copy_(weight)

    def _trained(self) -> list[nn.Parameter]:
        return [p for p in self.model.parameters() if p.requires_grad]
