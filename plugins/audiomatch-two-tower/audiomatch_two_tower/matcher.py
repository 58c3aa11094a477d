"""The matcher `two-tower`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from audiomatch_torch import (
    Compute,
    TorchMatcher,
    Weights,
    load_into,
    load_tensors,
    predict,
    save_tensors,
)
from numpy.typing import NDArray

from audiomatch.clips import Clips
from audiomatch.folds import inner_split
from audiomatch.matcher import Run
from audiomatch_two_tower.config import TwoTowerConfig
from audiomatch_two_tower.fitting import fit_towers
from audiomatch_two_tower.inputs import TowerInputs
from audiomatch_two_tower.speech import find_audio, load_audio_encoder, read_audio_encoder
from audiomatch_two_tower.text import find_text, read_text_tower
from audiomatch_two_tower.towers import Towers

COMPARISON = "comparison.safetensors"
ALWAYS_HELD = 100  # characters of a text that every text tower reads whole


class TwoTowerMatcher(TorchMatcher[Towers]):
    """P(match) from an embedding of the speech and one of the text."""

    Config = TwoTowerConfig
    config: TwoTowerConfig

    def sources(self) -> dict[str, Weights]:
        """Find the weights of both towers."""
        return {
            "audio_weights": find_audio(self.config),
            "text_weights": find_text(self.config.text_weights),
        }

    def refuses(self, clips: Clips, run: Run) -> list[str | None]:
        """Name texts of more tokens than the text tower reads; loads it where one may be."""
        if max(map(len, clips.texts)) < ALWAYS_HELD:
            return super().refuses(clips, run)
        if self._model is not None:
            return self._model.text.refuses(clips.texts)
        return read_text_tower(self.weights["text_weights"]).refuses(clips.texts)

    def start(self) -> Towers:
        """Make both towers; one from scratch is trained, a pretrained one where asked for."""
        audio, text = self.weights.values()
        encoder = load_audio_encoder(self.config, audio)
        towers = Towers(encoder, read_text_tower(text), self.config)
        tune_audio = self.config.tune_audio
        towers.audio.requires_grad_(audio.scratch if tune_audio is None else tune_audio)
        towers.text.tune(self.config.tune_text)
        return towers

    def learn(self, model: Towers, train: Clips, compute: Compute) -> None:
        """Train on most of `train`; the rest, in whole groups, picks the epoch and calibrates."""
        inputs = TowerInputs(model, train, self.config, compute)
        model.comparison.head.standardise(inputs.lengths)
        fitted, validation = inner_split(
            train, self.config.validation, compute.run.seed, compute.run.note
        )
        split = fitted, validation
        logits = fit_towers(model, inputs, train.labels, split, self.config, compute)
        self.calibrate(logits, train.take(validation), train, choices=1)  # that of the epoch

    def logits(self, model: Towers, clips: Clips, compute: Compute) -> NDArray[np.float64]:
        """Return what the head makes of both embeddings."""
        inputs = TowerInputs(model, clips, self.config, compute, keep=False)
        return predict(inputs.logits, inputs.padded, compute, capacity=inputs.capacity)

    def write(self, model: Towers, folder: Path) -> None:
        """Write both encoders in folders of their own, and comparison.safetensors."""
        for name, tower in (("audio", model.audio), ("text", model.text)):
            (folder / name).mkdir(exist_ok=True)
            tower.save(folder / name)
        save_tensors(model.comparison.state_dict(), folder / COMPARISON)

    def read(self, folder: Path) -> Towers:
        """Restore what `write` wrote."""
        text = read_text_tower(find_text(str(folder / "text")))
        towers = Towers(read_audio_encoder(self.config, folder / "audio"), text, self.config)
        file = folder / COMPARISON
        load_into(towers.comparison, load_tensors(file), str(file))
        return towers
