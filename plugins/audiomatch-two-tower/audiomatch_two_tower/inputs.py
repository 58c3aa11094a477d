"""Clips as the towers take them."""

from __future__ import annotations

import numpy as np
import torch
from audiomatch_torch import Compute, Encoded, encode_once
from numpy.typing import NDArray
from torch import Tensor, nn

from audiomatch.clips import Clips
from audiomatch.errors import UserError
from audiomatch_two_tower.config import TwoTowerConfig
from audiomatch_two_tower.features import Sounds
from audiomatch_two_tower.towers import Towers

Rows = NDArray[np.int64]


class TowerInputs:
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
        *,
        keep: bool = True,
    ) -> None:
        """Load the clips; with `keep` a frozen audio encoder runs once a clip, here."""
        self.towers, self.compute = towers, compute
        for i, problem in enumerate(towers.text.refuses(clips.texts)):
            if problem:
                raise UserError(f"{clips.where(i)}: {problem}")
        self.sounds = Sounds(clips, towers.audio.prepare, towers.audio.rate, compute.run)
        self.padded = self.sounds.padded
        seconds = np.log(np.maximum(self.sounds.seconds, 0.01))
        characters = np.log([len(text) for text in clips.texts])
        lengths = np.stack([seconds, characters, seconds - characters], axis=1)
        self.lengths = torch.from_numpy(lengths).float().to(compute.device)
        self.capacity = compute.capacity(config.seconds_at_once)
        self._texts = np.asarray(clips.texts, dtype=object)
        self._embeddings: Tensor | None = None
        if not _trained(towers.text):
            self._embeddings = towers.text.embed(clips.texts, compute)
        self._states: Encoded | None = None
        if keep and not _trained(towers.audio):
            towers.audio.eval()
            self._states = encode_once(
                self.states, self.padded, compute, capacity=self.capacity, dtype=torch.half
            )

    def logits(self, rows: Rows) -> Tensor:
        """Return the logits of rows of one padded length, shape (rows,)."""
        index = self.compute.index(rows)
        if self._embeddings is not None:
            text = self._embeddings[index]
        else:
            text = self.towers.text(self._texts[rows].tolist())
        logits: Tensor = self.towers.comparison(self.states(rows), text, self.lengths[index])
        return logits

    def states(self, rows: Rows) -> Tensor:
        """Return what the audio encoder says of rows of one padded length, (rows, t, width)."""
        if self._states is not None:
            return self._states.stack(rows)
        states: Tensor = self.towers.audio(self.sounds(rows).to(self.compute.device))
        return states


def _trained(module: nn.Module) -> bool:
    return any(parameter.requires_grad for parameter in module.parameters())
