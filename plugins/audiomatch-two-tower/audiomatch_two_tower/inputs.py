"""Clips as the towers take them."""

from __future__ import annotations

import numpy as np
import torch
from audiomatch_torch import Compute, predict
from numpy.typing import NDArray
from torch import Tensor, nn

from audiomatch.clips import Clips
from audiomatch.matcher import Run
from audiomatch_two_tower.config import TwoTowerConfig
from audiomatch_two_tower.features import Features
from audiomatch_two_tower.towers import Towers

CPU_SECONDS_AT_ONCE = 60.0
Rows = NDArray[np.int64]


class Inputs:
    """Logits of the rows asked for; what is not trained is computed once and kept.

    Attributes:
        padded: the padded seconds of each clip, float64 of shape (n,); rows that share a forward
            pass must be equal in it.
        lengths: what the head is shown of lengths, on the device, shape (n, 3).
        capacity: the most padded seconds in one forward pass.
    """

    def __init__(
        self,
        towers: Towers,
        clips: Clips,
        config: TwoTowerConfig,
        compute: Compute,
        run: Run,
        keep: bool = True,
    ) -> None:
        """Load the clips; with `keep` a frozen audio encoder runs once a clip, here."""
        self.towers, self.compute, self.run = towers, compute, run
        self.features = Features(clips, towers.audio.prepare, towers.audio.rate, run)
        self.padded = self.features.padded
        seconds = np.log(np.maximum(self.features.seconds, 0.01))
        characters = np.log([len(text.strip()) for text in clips.texts])
        lengths = np.stack([seconds, characters, seconds - characters], axis=1)
        self.lengths = torch.from_numpy(lengths).float().to(compute.device)
        at_once = config.seconds_at_once
        if at_once is None and compute.device.type == "cpu":
            at_once = CPU_SECONDS_AT_ONCE
        self.capacity = at_once
        self._texts = np.asarray(clips.texts, dtype=object)
        self._embeddings: Tensor | None = None
        if not _trained(towers.text):
            self._embeddings = towers.text.embed(clips.texts, compute, run)
        self._states: list[Tensor] | None = None
        if keep and not _trained(towers.audio):
            self._states = self._encode_once()

    def logits(self, rows: Rows) -> Tensor:
        """Return the logits of rows of one padded length, shape (rows,)."""
        index = torch.from_numpy(rows).to(self.compute.device)
        if self._embeddings is not None:
            text = self._embeddings[index]
        else:
            text = self.towers.text(self._texts[rows].tolist())
        logits: Tensor = self.towers.comparison(self.states(rows), text, self.lengths[index])
        return logits

    def states(self, rows: Rows) -> Tensor:
        """Return what the audio encoder says of rows of one padded length, (rows, t, width)."""
        if self._states is not None:
            return torch.stack([self._states[i] for i in rows]).float().to(self.compute.device)
        states: Tensor = self.towers.audio(self.features(rows).to(self.compute.device))
        return states

    def _encode_once(self) -> list[Tensor]:
        kept: list[Tensor] = [torch.empty(0)] * len(self.padded)

        def keep(rows: Rows) -> Tensor:
            for i, states in zip(rows, self.states(rows).half().cpu(), strict=True):
                kept[i] = states.clone()
            return torch.zeros(len(rows))

        self.towers.audio.eval()
        predict(keep, self.padded, self.compute, self.run, capacity=self.capacity, label="encode")
        return kept


def _trained(module: nn.Module) -> bool:
    return any(parameter.requires_grad for parameter in module.parameters())
