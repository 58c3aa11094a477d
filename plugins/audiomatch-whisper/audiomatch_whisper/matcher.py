"""The matcher `whisper`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from audiomatch_torch import (
    Compute,
    TrainOptions,
    Weights,
    load_into,
    load_tensors,
    predict,
    save_tensors,
    train,
)
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from audiomatch.clips import Clips
from audiomatch.explanation import Explanation
from audiomatch.matcher import Matcher, Run
from audiomatch_whisper.config import WhisperConfig
from audiomatch_whisper.evidence import NAMES, decode, encode, evidence, pad_ids, same_position
from audiomatch_whisper.explainer import Explainer
from audiomatch_whisper.features import Features
from audiomatch_whisper.head import Head
from audiomatch_whisper.loading import Backbone, find, load

CPU_SECONDS_AT_ONCE = 60.0


class Judge(nn.Module):
    """A Whisper and, where the score has one, its head."""

    def __init__(self, backbone: Backbone, config: WhisperConfig) -> None:
        super().__init__()
        self.backbone = backbone
        self.whisper = backbone.model
        self.head = Head(len(NAMES)) if config.score == "head" else None
        text = backbone.text
        self.prompt = text.own_prompt if config.prompt == "own" else text.prompt

    def evidence(self, states: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
        """Encoder states and texts to what the score is made of: (n, 5), or (n,) without a head."""
        hidden = decode(self.whisper, ids, states)
        of = same_position if self.head is None else evidence
        return of(self.whisper, hidden, ids, mask, len(self.prompt))

    def forward(self, states: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
        """Logits of match, shape (n,)."""
        found = self.evidence(states, ids, mask)
        return found if self.head is None else self.head(found)


class _Inputs:
    """Clips as tensors on the device: encoder states, ids and mask of the rows asked for."""

    def __init__(
        self, judge: Judge, clips: Clips, config: WhisperConfig, compute: Compute, run: Run
    ) -> None:
        self.judge, self.compute, self.run = judge, compute, run
        backbone = judge.backbone
        most = backbone.model.config.max_target_positions
        self.ids = backbone.text.encode(clips, most, judge.prompt, end=judge.head is not None)
        self.features = Features(clips, backbone.extractor, run, config.pad, config.margin)
        self.lengths = self.features.seconds
        at_once = config.seconds_at_once
        if at_once is None and compute.device.type == "cpu":
            at_once = CPU_SECONDS_AT_ONCE
        self.capacity = at_once
        self._states: list[Tensor] | None = None

    def states(self, rows: NDArray[np.int64]) -> Tensor:
        if self._states is not None:
            return torch.stack([self._states[i] for i in rows]).to(self.compute.device)
        mel = torch.from_numpy(self.features(rows)).to(self.compute.device)
        return encode(self.judge.whisper, mel)

    def __call__(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor, Tensor]:
        ids, mask = pad_ids([self.ids[i] for i in rows], self.judge.backbone.text.end)
        device = self.compute.device
        return self.states(rows), ids.to(device), mask.to(device)

    def keep_states(self) -> None:
        """Run the encoder once a clip; `states` then gives what it said."""
        kept: list[Tensor] = [torch.empty(0)] * len(self.ids)

        def keep(rows: NDArray[np.int64]) -> Tensor:
            for i, states in zip(rows, self.states(rows).cpu(), strict=True):
                kept[i] = states.clone()
            return torch.zeros(len(rows))

        predict(keep, self.lengths, self.compute, self.run, capacity=self.capacity, label="encode")
        self._states = kept


class WhisperMatcher(Matcher):
    """P(match) from how well Whisper's decoder expects the text, given the speech."""

    Config = WhisperConfig
    config: WhisperConfig

    def __init__(self, config: WhisperConfig) -> None:
        super().__init__(config)
        self._judge: Judge | None = None
        self._weights: Weights | None = None
        self._explainer: Explainer | None = None

    def _resolved(self) -> Weights:
        if self._weights is None:
            self._weights = find(self.config)
        return self._weights

    def fingerprint(self) -> dict[str, str]:
        """Return the digest of the weights that `fit` would start from."""
        return self._resolved().fingerprint()

    def fit(self, train: Clips, run: Run) -> None:
        """Start from the weights and fine-tune on `train`."""
        compute = Compute(run)
        weights = self._resolved()
        run.note(**weights.facts())
        judge = Judge(load(weights, self.config.size), self.config).to(compute.device)
        self._judge = judge
        inputs = _Inputs(judge, train, self.config, compute, run)
        labels = torch.tensor(train.labels, dtype=torch.float32).to(compute.device)
        if self.config.train == "decoder":
            judge.whisper.model.encoder.requires_grad_(False)
            judge.whisper.proj_out.requires_grad_(False)
            inputs.keep_states()
        if judge.head is not None:
            found = predict(
                lambda rows: judge.evidence(*inputs(rows)),
                inputs.lengths,
                compute,
                run,
                capacity=inputs.capacity,
                label="look",
            )
            judge.head.fit(found, train.labels)
        self._train(judge, inputs, labels, compute, run)
        self._explainer = Explainer(judge, self.config).after(train, run)

    def _train(
        self, judge: Judge, inputs: _Inputs, labels: Tensor, compute: Compute, run: Run
    ) -> None:
        config = self.config
        lr, warmup = schedule_by_width(judge.whisper.config.d_model)

        def losses(rows: NDArray[np.int64]) -> Tensor:
            logits = judge(*inputs(rows))
            return functional.binary_cross_entropy_with_logits(
                logits, labels[rows], reduction="none"
            )

        head = [] if judge.head is None else list(judge.head.parameters())
        whisper = [p for p in judge.whisper.parameters() if p.requires_grad]
        train(
            judge,
            losses,
            inputs.lengths,
            TrainOptions(
                epochs=config.epochs,
                batch_size=config.batch_size,
                lr=config.lr if config.lr is not None else lr,
                warmup=config.warmup if config.warmup is not None else warmup,
                weight_decay=config.weight_decay,
                average_last=config.average_last,
                order=config.order,
                capacity=inputs.capacity,
            ),
            compute,
            run,
            groups=[{"params": whisper}, {"params": head, "lr": config.head_lr}],
        )

    def predict(self, clips: Clips, run: Run) -> NDArray[np.float64]:
        """Return the sigmoid of each clip's score."""
        if self._judge is None:
            raise RuntimeError("predict before fit or load")
        compute = Compute(run)
        judge = self._judge.to(compute.device).eval()
        inputs = _Inputs(judge, clips, self.config, compute, run)
        logits = predict(
            lambda rows: judge(*inputs(rows)),
            inputs.lengths,
            compute,
            run,
            capacity=inputs.capacity,
        )
        return np.asarray(torch.from_numpy(logits).sigmoid().numpy(), dtype=np.float64)

    def explain(self, clips: Clips, run: Run) -> list[Explanation]:
        """Return each clip's words with P(said), times by attention, and what was heard."""
        if self._explainer is None:
            raise RuntimeError("explain before fit or load")
        return self._explainer.explain(clips, run)

    def save(self, folder: Path) -> None:
        """Write a Hugging Face folder with the fine-tuned Whisper, and what was fitted beside it.

        The calibration of `explain` is fitted here, or when first asked for: comparing matchers
        needs none.
        """
        if self._judge is None or self._explainer is None:
            raise RuntimeError("save before fit or load")
        self._explainer.save(folder)
        self._judge.backbone.save(folder)
        if self._judge.head is not None:
            save_tensors(self._judge.head.state_dict(), folder / "head.safetensors")

    def load(self, folder: Path) -> None:
        """Restore what `save` wrote."""
        whisper = folder / "model.safetensors"
        self._judge = Judge(load(Weights(str(folder), folder, (whisper,))), self.config).eval()
        if self._judge.head is not None:
            file = folder / "head.safetensors"
            load_into(self._judge.head, load_tensors(file), str(file))
        self._explainer = Explainer(self._judge, self.config).load(folder)


def schedule_by_width(width: int) -> tuple[float, float]:
    """Return the seed recipe's learning rate and warm-up for a Whisper of this width."""
    if width <= 512:
        return 3e-5, 0.0
    return (3e-5, 0.1) if width <= 768 else (2e-5, 0.2)
