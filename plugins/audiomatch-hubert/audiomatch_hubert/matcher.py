"""The matcher `hubert-ctc`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from audiomatch_torch import (
    Compute,
    TrainOptions,
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
from audiomatch.folds import inner_split
from audiomatch.matcher import Matcher, Run
from audiomatch_hubert.config import HubertCTCConfig
from audiomatch_hubert.judge import Judge, View
from audiomatch_hubert.loading import HOW, find, load

Rows = NDArray[np.int64]


class HubertCTCMatcher(Matcher):
    """P(match) from the CTC likelihood of the expected text against the best free path."""

    Config = HubertCTCConfig
    config: HubertCTCConfig

    def __init__(self, config: HubertCTCConfig) -> None:
        super().__init__(config)
        self._judge: Judge | None = None
        self._weights: Weights | None = None

    def _resolved(self) -> Weights:
        if self._weights is None:
            self._weights = find(self.config.weights)
        return self._weights

    def fingerprint(self) -> dict[str, str]:
        """Return the digest of the weights that `fit` would start from, or that it has none."""
        return self._resolved().fingerprint()

    def fit(self, train: Clips, run: Run) -> None:
        """Start from the weights, train by the objective, and fit the head on clips kept apart."""
        config, compute = self.config, Compute(run)
        weights = self._resolved()
        run.note(**weights.facts())
        if weights.scratch and config.weights == "auto":
            run.note(warning=f"no pretrained CTC weights here, trained from scratch; {HOW}")
        judge = Judge(load(weights, config.scratch_width, config.scratch_layers))
        judge.ctc.to(compute.device)
        self._judge = judge
        rest, kept = (
            inner_split(train, config.calibration, run.seed)
            if config.calibration
            else (np.arange(len(train)), np.arange(0))
        )
        part = train.take(rest)
        view = View(judge, part, config.seconds_at_once, compute, run)
        if not weights.scratch:
            judge.freeze(config.freeze)
            if config.freeze == "encoder":
                view.keep_hidden()
        training = _Training(judge, view, part, config, weights.scratch, compute, run)
        training.run()
        if config.objective == "ctc" or not training.epochs:
            judge.head.fit(view.evidence("look"), part.labels)
        if len(kept):
            part = train.take(kept)
            view = View(judge, part, config.seconds_at_once, compute, run)
            judge.head.calibrate(
                view.evidence("calibrate"), part.labels, float(train.labels.mean())
            )

    def predict(self, clips: Clips, run: Run) -> NDArray[np.float64]:
        """Return the head's probability for each clip."""
        if self._judge is None:
            raise RuntimeError("predict before fit or load")
        compute = Compute(run)
        judge = self._judge.eval()
        judge.ctc.to(compute.device)
        view = View(judge, clips, self.config.seconds_at_once, compute, run)
        found = view.evidence("predict")
        with torch.inference_mode():
            return np.asarray(judge.head(torch.from_numpy(found)).sigmoid().numpy())

    def save(self, folder: Path) -> None:
        """Write a Hugging Face folder with the CTC model, and head.safetensors."""
        if self._judge is None:
            raise RuntimeError("save before fit or load")
        self._judge.backbone.save(folder)
        save_tensors(self._judge.head.state_dict(), folder / "head.safetensors")

    def load(self, folder: Path) -> None:
        """Restore what `save` wrote."""
        self._judge = Judge(load(Weights(str(folder), folder, (folder / "model.safetensors",))))
        file = folder / "head.safetensors"
        load_into(self._judge.head, load_tensors(file), str(file))
        self._judge.eval()


class _Training:
    """CTC alone on the matches, then the objective."""

    def __init__(
        self,
        judge: Judge,
        view: View,
        clips: Clips,
        config: HubertCTCConfig,
        scratch: bool,
        compute: Compute,
        run: Run,
    ) -> None:
        self.judge, self.view, self.config = judge, view, config
        self.compute, self.run_ = compute, run
        self.match = clips.labels
        self.labels = torch.tensor(self.match, dtype=torch.float64)
        frozen = not scratch and config.freeze == "encoder"
        self.lr = config.lr or (3e-3 if scratch else 1e-3 if frozen else 3e-5)
        self.batch_size = config.batch_size or (4 if scratch else 16)
        default = (20, 5) if scratch else (0, 2)
        self.ctc_epochs = default[0] if config.ctc_epochs is None else config.ctc_epochs
        self.epochs = default[1] if config.epochs is None else config.epochs

    def run(self) -> None:
        matches = np.flatnonzero(self.match == 1)
        objective = self.config.objective
        ctc = self.ctc_epochs if objective != "binary" else 0
        if objective == "ctc":
            ctc += self.epochs
        if ctc and len(matches):
            self._train(lambda rows: self.view(rows)[1], matches, ctc, "train CTC")
        if objective != "ctc" and self.epochs:
            self.judge.head.fit(self.view.evidence("look"), self.match)
            self._train(self._losses, np.arange(len(self.match)), self.epochs, "train")

    def _losses(self, rows: Rows) -> Tensor:
        evidence, ctc = self.view(rows)
        labels = self.labels[torch.from_numpy(rows)]
        losses = functional.binary_cross_entropy_with_logits(
            self.judge.head(evidence), labels, reduction="none"
        )
        if self.config.objective == "both":
            losses = losses + self.config.ctc_weight * labels * ctc
        return losses

    def _train(self, losses: Callable[[Rows], Tensor], rows: Rows, epochs: int, label: str) -> None:
        config = self.config
        trainable = [p for p in self.judge.ctc.parameters() if p.requires_grad]
        head = list(self.judge.head.parameters())
        train(
            self.judge,
            lambda chosen: losses(rows[chosen]),
            self.view.seconds[rows],
            TrainOptions(
                epochs=epochs,
                batch_size=self.batch_size,
                lr=self.lr,
                warmup=config.warmup,
                weight_decay=config.weight_decay,
                clip_norm=config.clip_norm,
                average_last=config.average_last,
                capacity=self.view.capacity,
            ),
            self.compute,
            self.run_,
            groups=[
                {"params": trainable},
                {"params": head, "lr": config.head_lr, "weight_decay": 0.0},
            ],
            label=label,
        )
