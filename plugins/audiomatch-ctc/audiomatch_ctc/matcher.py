"""The matchers `ctc` and `hubert-ctc`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from audiomatch_torch import (
    Compute,
    TorchMatcher,
    Weights,
    load_into,
    load_tensors,
    save_tensors,
    train,
)
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from audiomatch.clips import Clips
from audiomatch.explanation import Explanation
from audiomatch.folds import inner_split
from audiomatch.matcher import Run
from audiomatch_ctc.config import CTCConfig, HubertCTCConfig
from audiomatch_ctc.explain import explain
from audiomatch_ctc.loading import LETTERS_ID, PHONES_ID, find, load
from audiomatch_ctc.scorer import CTCScorer, ScoredClips

HEAD = "head.safetensors"
NEW_HEAD_LR = 1e-3
Rows = NDArray[np.int64]


class CTCMatcher(TorchMatcher[CTCScorer]):
    """P(match) from the CTC likelihood of the expected text against the best free path."""

    Config = CTCConfig
    HUB_ID = PHONES_ID
    config: CTCConfig

    def sources(self) -> dict[str, Weights]:
        """Find the weights of the CTC model."""
        return {"weights": find(self.config.weights, self.HUB_ID)}

    def start(self) -> CTCScorer:
        """Make the CTC model and a head that has not been fitted."""
        config = self.config
        shape = config.scratch_width, config.scratch_layers
        phones = config.units == "phones"
        return CTCScorer(load(self.weights["weights"], *shape, phones=phones))

    def place(self, model: CTCScorer, compute: Compute) -> CTCScorer:
        """Move the CTC model to the device; the head stays on the CPU."""
        model.ctc.to(compute.device)
        return model

    def learn(self, model: CTCScorer, train: Clips, compute: Compute) -> None:
        """Train by the objective, and fit the head on clips kept apart."""
        config, scratch = self.config, self.weights["weights"].scratch
        rest, kept = (
            inner_split(train, config.calibration, compute.run.seed, compute.run.note)
            if config.calibration
            else (np.arange(len(train)), np.arange(0))
        )
        part = train.take(rest)
        clips = ScoredClips(model, part, config.seconds_at_once, compute)
        if not scratch:
            model.freeze(config.freeze)
            if config.freeze == "encoder":
                clips.keep_hidden()
        training = _Training(model, clips, part.labels, config, scratch=scratch)
        training.run()
        if config.objective == "ctc" or not training.options.epochs:
            model.head.fit(clips.evidence("look"), part.labels)
        if len(kept):
            part = train.take(kept)
            self.calibrate(self.logits(model, part, compute), part, train)
        # A text that cannot be read is as likely as any: its calibrated probability is the rate.
        model.head.unread.fill_(self.calibration.logit_of(float(train.labels.mean())))

    def logits(self, model: CTCScorer, clips: Clips, compute: Compute) -> NDArray[np.float64]:
        """Return what the head makes of each clip's evidence."""
        own = ScoredClips(model, clips, self.config.seconds_at_once, compute)
        found = torch.from_numpy(own.evidence("predict"))
        with torch.inference_mode():
            return np.asarray(model.head(found).numpy())

    def explain(self, clips: Clips, run: Run) -> list[Explanation]:
        """Return each clip's words with their units, times by alignment, and what was heard."""
        p_match = self.predict(clips, run)
        with self.computing(run) as (model, compute):
            own = ScoredClips(model, clips, self.config.seconds_at_once, compute)
            return explain(own, clips, p_match, self.calibration)

    def write(self, model: CTCScorer, folder: Path) -> None:
        """Write a Hugging Face folder with the CTC model, and head.safetensors."""
        model.model.save(folder)
        save_tensors(model.head.state_dict(), folder / HEAD)

    def read(self, folder: Path) -> CTCScorer:
        """Restore what `write` wrote."""
        weights = Weights(str(folder), folder, (folder / "model.safetensors",))
        scorer = CTCScorer(load(weights))
        load_into(scorer.head, load_tensors(folder / HEAD), str(folder / HEAD))
        return scorer


class HubertCTCMatcher(CTCMatcher):
    """The same that starts from a HuBERT."""

    Config = HubertCTCConfig
    HUB_ID = LETTERS_ID


class _Training:
    """CTC alone on the matches, then the objective."""

    def __init__(
        self,
        scorer: CTCScorer,
        clips: ScoredClips,
        match: NDArray[np.int8],
        config: CTCConfig,
        *,
        scratch: bool,
    ) -> None:
        self.scorer, self.clips, self.config, self.match = scorer, clips, config, match
        self.labels = torch.tensor(match, dtype=torch.float64)
        frozen = not scratch and config.freeze == "encoder"
        self.options = replace(
            config.train_options(
                epochs=5 if scratch else 2,
                batch_size=4 if scratch else 16,
                lr=3e-3 if scratch else 1e-3 if frozen else 3e-5,
                capacity=clips.capacity,
            ),
            clip_norm=config.clip_norm,
            average_last=config.average_last,
        )
        self.fresh = scorer.model.fresh and not scratch
        default = 20 if scratch else 10 if self.fresh else 0
        self.ctc_epochs = default if config.ctc_epochs is None else config.ctc_epochs

    def run(self) -> None:
        matches = np.flatnonzero(self.match == 1)
        objective = self.config.objective
        ctc = self.ctc_epochs if objective != "binary" else 0
        if objective == "ctc":
            ctc += self.options.epochs
        if ctc and len(matches):
            self._train(lambda rows: self.clips(rows)[1], matches, ctc, "train CTC")
        if objective != "ctc" and self.options.epochs:
            self.scorer.head.fit(self.clips.evidence("look"), self.match)
            self._train(self._losses, np.arange(len(self.match)), self.options.epochs, "train")

    def _losses(self, rows: Rows) -> Tensor:
        evidence, ctc = self.clips(rows)
        labels = self.labels[torch.from_numpy(rows)]
        losses = functional.binary_cross_entropy_with_logits(
            self.scorer.head(evidence), labels, reduction="none"
        )
        if self.config.objective == "both":
            losses = losses + self.config.ctc_weight * labels * ctc
        return losses

    def _train(self, losses: Callable[[Rows], Tensor], rows: Rows, epochs: int, label: str) -> None:
        new = {*self.scorer.model.head.parameters()} if self.fresh else set()
        trainable = [p for p in self.scorer.ctc.parameters() if p.requires_grad and p not in new]
        head = list(self.scorer.head.parameters())
        train(
            self.scorer,
            lambda chosen: losses(rows[chosen]),
            self.clips.seconds[rows],
            replace(self.options, epochs=epochs),
            self.clips.compute,
            groups=[
                {"params": trainable},
                {"params": [*new], "lr": max(self.options.lr, NEW_HEAD_LR)},
                {"params": head, "lr": self.config.head_lr, "weight_decay": 0.0},
            ],
            label=label,
        )
