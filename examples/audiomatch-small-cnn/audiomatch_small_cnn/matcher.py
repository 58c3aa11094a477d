"""The matcher `small-cnn`."""

from __future__ import annotations

import numpy as np
import torch
from audiomatch_torch import (
    Compute,
    TorchConfig,
    TorchMatcher,
    binary_cross_entropy,
    option,
    predict,
    train,
)
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from audiomatch.audio import SAMPLE_RATE, map_audio
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

    def __init__(
        self, model: SmallCnn, clips: Clips, config: SmallCnnConfig, compute: Compute
    ) -> None:
        self.model, self.compute = model, compute
        self.capacity = compute.capacity(config.seconds_at_once)
        sounds = map_audio(clips, spectrogram, compute.run, "listen")
        self.sounds = [torch.from_numpy(sound) for sound in sounds]
        self.padded = np.array([sound.shape[1] * HOP / SAMPLE_RATE for sound in sounds])
        self.codes = [torch.tensor([ord(c) % CODES for c in text]) for text in clips.texts]
        seconds, characters = np.log(clips.seconds), np.log([len(text) for text in clips.texts])
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
        run, share = compute.run, self.config.calibration
        rest, kept = map(clips.take, inner_split(clips, share, run.seed, run.note))
        inputs = Inputs(model, rest, self.config, compute)
        losses = binary_cross_entropy(inputs.logits, rest.labels, compute)
        options = self.config.train_options(capacity=inputs.capacity)
        train(model, losses, inputs.padded, options, compute, head=model.head.parameters())
        self.calibrate(self.logits(model, kept, compute), kept, clips)

    def logits(self, model: SmallCnn, clips: Clips, compute: Compute) -> NDArray[np.float64]:
        """Return the logit of each clip."""
        inputs = Inputs(model, clips, self.config, compute)
        return predict(inputs.logits, inputs.padded, compute, capacity=inputs.capacity)
