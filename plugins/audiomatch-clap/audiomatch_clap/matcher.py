"""The matcher `clap`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from audiomatch_torch import (
    Compute,
    TorchMatcher,
    Weights,
    binary_cross_entropy,
    load_into,
    load_tensors,
    predict,
    save_tensors,
    train,
)
from numpy.typing import NDArray
from torch import Tensor, nn

from audiomatch.clips import Clips
from audiomatch.folds import inner_split
from audiomatch.matcher import Run
from audiomatch_clap.config import ClapConfig
from audiomatch_clap.embeddings import Pairs, embed
from audiomatch_clap.loading import find, load, restore
from audiomatch_clap.scoring import PairHead, Similarity
from audiomatch_clap.towers import ClapTowers, TransformersTowers

FINE_TUNE_EPOCHS, HEAD_EPOCHS, SCRATCH_EPOCHS = 2, 20, 4
FINE_TUNE_LR, SCRATCH_LR = 1e-5, 1e-3
CLIP_NORM = 1.0
CPU_CROPS_AT_ONCE = 16
SCORE = "score.safetensors"
ALWAYS_HELD = 100  # bytes of a text that every text tower holds
Embed = Callable[[NDArray[np.int64]], tuple[Tensor, Tensor]]


class ClapScorer(nn.Module):
    """Two towers and what compares their embeddings."""

    def __init__(self, towers: ClapTowers, config: ClapConfig) -> None:
        super().__init__()
        self.towers = towers
        self.score = (
            Similarity()
            if config.mode == "similarity"
            else PairHead(towers.width, config.hidden, config.dropout)
        )


class ClapMatcher(TorchMatcher[ClapScorer]):
    """P(match) from how near a clip's embedding is to its text's."""

    Config = ClapConfig
    config: ClapConfig

    def __init__(self, config: ClapConfig) -> None:
        super().__init__(config)
        self._frozen = ""  # the digest of towers that training left as they were

    def sources(self) -> dict[str, Weights]:
        """Find the weights of both towers."""
        return {"weights": find(self.config)}

    def refuses(self, clips: Clips, run: Run) -> list[str | None]:
        """Name texts of more tokens than the text tower holds; loads it where one may be."""
        if max(len(text.encode()) for text in clips.texts) < ALWAYS_HELD:
            return super().refuses(clips, run)
        towers = (self.start() if self._model is None else self._model).towers
        return towers.text.refuses(clips, towers.most_tokens)

    def start(self) -> ClapScorer:
        """Make the towers and what compares their embeddings."""
        return ClapScorer(load(self.weights["weights"], self.config), self.config)

    def learn(self, model: ClapScorer, train: Clips, compute: Compute) -> None:
        """Train what `mode` says, and calibrate on clips not trained on.

        Frozen towers have not seen a label, so their cosine is calibrated on the whole of `train`.
        Whatever is trained leaves a group-disjoint part of it for that.
        """
        weights = self.weights["weights"]
        trains_towers = weights.scratch or self.config.mode == "fine-tune"
        self._frozen = "" if trains_towers else f"{self.config.backend}-{weights.digest}"
        calibrating = train
        if self.config.mode != "similarity" or trains_towers:
            rest, held_out = inner_split(
                train, self.config.calibration, compute.run.seed, compute.run.note
            )
            calibrating = train.take(held_out)
            teach = self._train_towers if trains_towers else self._train_head
            teach(model, train.take(rest), compute)
        self.calibrate(self.logits(model.eval(), calibrating, compute), calibrating, train)

    def _train_head(self, model: ClapScorer, clips: Clips, compute: Compute) -> None:
        audio, text = embed(Pairs(model.towers, clips, compute), self._frozen)
        audio, text = audio.to(compute.device), text.to(compute.device)
        model.towers.requires_grad_(requires_grad=False)
        lengths = np.ones(len(clips))
        epochs = self._epochs(HEAD_EPOCHS, self.config.steps, clips)
        self._optimise(
            model, lambda rows: (audio[rows], text[rows]), clips, lengths, epochs, compute
        )

    def _train_towers(self, model: ClapScorer, clips: Clips, compute: Compute) -> None:
        pairs = Pairs(model.towers, clips, compute)
        counts = pairs.mels.keep()
        epochs = self._epochs(FINE_TUNE_EPOCHS, 0, clips)
        if self.weights["weights"].scratch and isinstance(model.towers, TransformersTowers):
            model.towers.centre(*_statistics(pairs))
            epochs = self._epochs(SCRATCH_EPOCHS, self.config.steps, clips)
        # Crops count; tokens only keep texts of one padded length together.
        lengths = counts + pairs.text_lengths() / 1e6
        self._optimise(model, pairs.both, clips, lengths, epochs, compute)

    def _epochs(self, fewest: int, steps: int, clips: Clips) -> int:
        """Return how many epochs take at least `steps` steps."""
        each = math.ceil(len(clips) / (self.config.batch_size or 16))
        return max(fewest, math.ceil(steps / each))

    def _optimise(
        self,
        model: ClapScorer,
        embeddings: Embed,
        clips: Clips,
        lengths: NDArray[np.float64],
        epochs: int,
        compute: Compute,
    ) -> None:
        seconds, window = self.config.seconds_at_once, model.towers.extractor.max_length_s
        crops = None if seconds is None else max(1.0, seconds // window)
        options = self.config.train_options(
            epochs=epochs,
            lr=SCRATCH_LR if self.weights["weights"].scratch else FINE_TUNE_LR,
            capacity=compute.capacity(crops, cpu=CPU_CROPS_AT_ONCE),
        )
        train(
            model,
            binary_cross_entropy(
                lambda rows: model.score(*embeddings(rows)), clips.labels, compute
            ),
            lengths,
            replace(options, clip_norm=CLIP_NORM, order="shuffle"),
            compute,
            head=model.score.parameters(),
        )

    def logits(self, model: ClapScorer, clips: Clips, compute: Compute) -> NDArray[np.float64]:
        """Return the score of each clip's two embeddings."""
        audio, text = embed(Pairs(model.towers, clips, compute), self._frozen)
        audio, text = audio.to(compute.device), text.to(compute.device)
        return predict(
            lambda rows: model.score(audio[compute.index(rows)], text[compute.index(rows)]),
            np.ones(len(clips)),
            compute,
            capacity=1,  # as in `embed`
            label="score",
        )

    def write(self, model: ClapScorer, folder: Path) -> None:
        """Write the towers with their tokenizer, and score.safetensors."""
        model.towers.save(folder)
        save_tensors(model.score.state_dict(), folder / SCORE)

    def read(self, folder: Path) -> ClapScorer:
        """Restore what `write` wrote."""
        scorer = ClapScorer(restore(folder), self.config)
        load_into(scorer.score, load_tensors(folder / SCORE), str(folder / SCORE))
        self._frozen = ""
        return scorer


def _statistics(pairs: Pairs) -> tuple[Tensor, Tensor]:
    """Mean and variance of each mel bin over the clips, shape (mels,) each."""
    count, total, squares = 0, 0.0, 0.0
    for i in range(len(pairs.ids)):
        mel = pairs.mels[i].reshape(-1, pairs.mels.extractor.feature_size).astype(np.float64)
        count, total, squares = count + len(mel), total + mel.sum(0), squares + (mel**2).sum(0)
    mean = np.asarray(total) / count
    variance = np.maximum(np.asarray(squares) / count - mean**2, 1e-3)
    return torch.from_numpy(mean), torch.from_numpy(variance)
