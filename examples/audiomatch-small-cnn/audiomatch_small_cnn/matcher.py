"""The matcher `small-cnn`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from audiomatch_torch import (
    Compute,
    TorchConfig,
    TorchMatcher,
    load_into,
    load_tensors,
    option,
    predict,
    save_tensors,
    train,
)
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from audiomatch.audio import SAMPLE_RATE, map_audio
from audiomatch.calibration import Calibration
from audiomatch.clips import Clips
from audiomatch.folds import inner_split
from audiomatch_small_cnn.network import CODES, HOP, SmallCnn, spectrogram

Rows = NDArray[np.int64]


class SmallCnnConfig(TorchConfig):
    """Options of `small-cnn`."""

    width: int = Field(32, ge=4, le=1024, multiple_of=4, description="Numbers in an embedding.")
    epochs: int = option("epochs", 20)
    lr: float = option("lr", 3e-3, "of both embeddings")
    head_lr: float = option("head_lr", 3e-3)
    dropout: float = option("dropout", 0.2)
    calibration: float = option("calibration", 0.2, gt=0)


class Inputs:
    """Clips as the network takes them: logits of the rows asked for."""

    def __init__(self, model: SmallCnn, clips: Clips, compute: Compute) -> None:
        def one(samples: NDArray[np.float32]) -> tuple[int, NDArray[np.float32]]:
            return len(samples), spectrogram(samples)

        found = map_audio(clips, one, compute.run, "listen")
        self.model, self.compute = model, compute
        self.sounds = [torch.from_numpy(sound) for _, sound in found]
        self.padded = np.array([sound.shape[1] * HOP / SAMPLE_RATE for sound in self.sounds])
        self.codes = [torch.tensor([ord(c) % CODES for c in text]) for text in clips.texts]
        seconds = np.log([samples / SAMPLE_RATE for samples, _ in found])
        characters = np.log([len(text) for text in clips.texts])
        lengths = np.stack([seconds, characters, seconds - characters], axis=1)
        self.lengths = torch.from_numpy(lengths).float()

    def logits(self, rows: Rows) -> Tensor:
        """Return the logits of rows of one padded length, (rows,)."""
        codes = [self.codes[row] for row in rows]
        starts = torch.tensor([0, *map(len, codes[:-1])]).cumsum(0)
        sounds = torch.stack([self.sounds[row] for row in rows])
        inputs = (sounds, torch.cat(codes), starts, self.lengths[torch.from_numpy(rows)])
        logits: Tensor = self.model(*(tensor.to(self.compute.device) for tensor in inputs))
        return logits


class SmallCnnMatcher(TorchMatcher[SmallCnn]):
    """P(match) from a network that starts from random weights."""

    Config = SmallCnnConfig
    config: SmallCnnConfig

    def start(self) -> SmallCnn:
        """Make the network."""
        return SmallCnn(self.config.width, self.config.dropout)

    def learn(self, model: SmallCnn, clips: Clips, compute: Compute) -> None:
        """Train on most of the clips, and calibrate on the rest, in groups of their own."""
        run, config = compute.run, self.config
        rest, kept = map(clips.take, inner_split(clips, config.calibration, run.seed, run.note))
        inputs = Inputs(model, rest, compute)
        labels = torch.tensor(rest.labels, dtype=torch.float32).to(compute.device)

        def losses(rows: Rows) -> Tensor:
            logits, wanted = inputs.logits(rows).float(), labels[compute.index(rows)]
            return functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")

        options = config.train_options(capacity=compute.capacity(config.seconds_at_once))
        head = {"params": list(model.head.parameters()), "lr": config.head_lr}
        others = {"params": [*model.audio.parameters(), *model.text.parameters()]}
        train(model, losses, inputs.padded, options, compute, groups=[others, head])
        logits, rate = self.logits(model, kept, compute), float(clips.labels.mean())
        self.calibration = Calibration.fit(logits, kept.labels, rate=rate)

    def logits(self, model: SmallCnn, clips: Clips, compute: Compute) -> NDArray[np.float64]:
        """Return the logit of each clip."""
        inputs = Inputs(model, clips, compute)
        capacity = compute.capacity(self.config.seconds_at_once)
        return predict(inputs.logits, inputs.padded, compute, capacity=capacity)

    def write(self, model: SmallCnn, folder: Path) -> None:
        """Write model.safetensors."""
        save_tensors(model.state_dict(), folder / "model.safetensors")

    def read(self, folder: Path) -> SmallCnn:
        """Restore what `write` wrote."""
        model, file = self.start(), folder / "model.safetensors"
        load_into(model, load_tensors(file), str(file))
        return model
