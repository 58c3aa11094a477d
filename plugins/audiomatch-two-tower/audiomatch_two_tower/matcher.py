"""The matcher `two-tower`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from audiomatch_torch import Compute, Weights, load_into, load_tensors, predict, save_tensors
from numpy.typing import NDArray

from audiomatch.clips import Clips
from audiomatch.folds import inner_split
from audiomatch.matcher import Matcher, Run
from audiomatch_two_tower.calibration import Platt
from audiomatch_two_tower.config import TwoTowerConfig
from audiomatch_two_tower.fitting import fit_towers
from audiomatch_two_tower.inputs import Inputs
from audiomatch_two_tower.speech import find_audio, load_audio_encoder, read_audio_encoder
from audiomatch_two_tower.text import find_text, read_text_tower
from audiomatch_two_tower.towers import Towers

COMPARISON = "comparison.safetensors"


class TwoTowerMatcher(Matcher):
    """P(match) from an embedding of the speech and one of the text."""

    Config = TwoTowerConfig
    config: TwoTowerConfig

    def __init__(self, config: TwoTowerConfig) -> None:
        super().__init__(config)
        self._towers: Towers | None = None
        self._platt = Platt()
        self._weights: tuple[Weights, Weights] | None = None

    def _resolved(self) -> tuple[Weights, Weights]:
        if self._weights is None:
            self._weights = find_audio(self.config), find_text(self.config.text_weights)
        return self._weights

    def fingerprint(self) -> dict[str, str]:
        """Return the digests of the weights that `fit` would start from."""
        audio, text = self._resolved()
        return {"audio_weights": audio.digest or "scratch", "text_weights": text.digest}

    def fit(self, train: Clips, run: Run) -> None:
        """Train on most of `train`; the rest, in whole groups, picks the epoch and calibrates."""
        compute = Compute(run)
        audio, text = self._resolved()
        run.note(
            weights=f"{self.config.audio + ' ' if audio.scratch else ''}{audio.name} + {text.name}",
            weights_digest=" ".join(filter(None, (audio.digest, text.digest))),
        )
        towers = Towers(
            load_audio_encoder(self.config, audio), read_text_tower(text), self.config
        ).to(compute.device)
        tune_audio = self.config.tune_audio
        towers.audio.requires_grad_(audio.scratch if tune_audio is None else tune_audio)
        towers.text.requires_grad_(self.config.tune_text)
        inputs = Inputs(towers, train, self.config, compute, run)
        towers.comparison.head.standardise(inputs.lengths)
        fitted, validation = inner_split(train, self.config.validation, run.seed)
        logits = fit_towers(
            towers, inputs, train.labels, (fitted, validation), self.config, compute, run
        )
        self._platt = Platt.fit(logits, train.labels[validation], float(train.labels.mean()))
        self._towers = towers

    def predict(self, clips: Clips, run: Run) -> NDArray[np.float64]:
        """Return the calibrated probability of each clip."""
        if self._towers is None:
            raise RuntimeError("predict before fit or load")
        compute = Compute(run)
        towers = self._towers.to(compute.device).eval().requires_grad_(False)
        inputs = Inputs(towers, clips, self.config, compute, run, keep=False)
        logits = predict(inputs.logits, inputs.padded, compute, run, capacity=inputs.capacity)
        return self._platt(logits)

    def save(self, folder: Path) -> None:
        """Write both encoders in folders of their own, and comparison.safetensors."""
        if self._towers is None:
            raise RuntimeError("save before fit or load")
        for name in ("audio", "text"):
            (folder / name).mkdir(exist_ok=True)
        self._towers.audio.save(folder / "audio")
        self._towers.text.save(folder / "text")
        platt = torch.tensor([self._platt.slope, self._platt.intercept], dtype=torch.float64)
        save_tensors({**self._towers.comparison.state_dict(), "platt": platt}, folder / COMPARISON)

    def load(self, folder: Path) -> None:
        """Restore what `save` wrote; needs nothing else."""
        text = read_text_tower(find_text(str(folder / "text")))
        audio = read_audio_encoder(self.config, folder / "audio")
        towers = Towers(audio, text, self.config)
        tensors = load_tensors(folder / COMPARISON)
        slope, intercept = tensors.pop("platt").tolist()
        load_into(towers.comparison, tensors, str(folder / COMPARISON))
        self._platt = Platt(slope, intercept)
        self._towers = towers.eval()
