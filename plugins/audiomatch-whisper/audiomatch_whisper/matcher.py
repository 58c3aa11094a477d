"""The matcher `whisper`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from audiomatch_torch import Compute, TrainOptions, Weights, load_into, load_tensors, save_tensors
from numpy.typing import NDArray

from audiomatch.clips import Clips
from audiomatch.explanation import Explanation
from audiomatch.folds import inner_split
from audiomatch.further import further_digest
from audiomatch.matcher import Matcher, Run
from audiomatch_whisper import adapters
from audiomatch_whisper.config import WhisperConfig
from audiomatch_whisper.explainer import Explainer
from audiomatch_whisper.inputs import Inputs
from audiomatch_whisper.judge import Judge
from audiomatch_whisper.judging import learn
from audiomatch_whisper.loading import find, load, require_libraries
from audiomatch_whisper.warming import corpus_of, further_matches, warm_up


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
            require_libraries(self.config)
            self._weights = find(self.config)
        return self._weights

    def fingerprint(self) -> dict[str, str]:
        """Return the digests of the weights that `fit` would start from and of its warm-up."""
        return {**self._resolved().fingerprint(), **self._warm_up_digest()}

    def _warm_up_digest(self) -> dict[str, str]:
        data = corpus_of(self.config)
        return {} if data is None else {"warm_up_digest": further_digest(data)}

    def further_data(self) -> list[str]:
        """Return what the warm-up transcribes beyond the training part."""
        data = corpus_of(self.config)
        return [] if data is None else [data]

    def fit(self, train: Clips, run: Run) -> None:
        """Start from the weights and fine-tune on `train`."""
        further = further_matches(self.config, run)
        compute = Compute(run)
        weights = self._resolved()
        run.note(**weights.facts())
        train, aside = self._set_aside(train, run)
        judge = Judge(load(weights, self.config.size), self.config).place(compute)
        judge.freeze(embeddings=self.config.embeddings == "trained")
        merge = adapters.add_adapters(judge, self.config.lora) if self.config.lora else None
        inputs = Inputs(judge, train, self.config, compute, run)
        inputs.keep_lower()
        if self.config.warm_up:
            self._warm_up(judge, inputs, train, further, compute, run)
        if judge.head is not None:
            judge.head.fit(inputs.numbers(evidence=True, label="look"), train.labels)
        learn(judge, inputs, train, self.config, self._options(judge, inputs), compute, run)
        if merge is not None:
            merge()
        if aside is not None and judge.head is not None:
            own = Inputs(judge.eval(), aside, self.config, compute, run)
            judge.head.calibrate(own.numbers(evidence=False, label="calibrate"), aside.labels)
        self._judge = judge
        self._explainer = Explainer(judge, self.config).after(train, run)

    def _set_aside(self, train: Clips, run: Run) -> tuple[Clips, Clips | None]:
        """Split off the clips that calibrate; none where they would leave only one label."""
        if not self.config.calibration:
            return train, None
        rest, aside = inner_split(train, self.config.calibration, run.seed, run.note)
        if min(len(set(train.labels[rest])), len(set(train.labels[aside]))) < 2:
            run.note(warning="too few clips to set some aside: not calibrated")
            return train, None
        return train.take(rest), train.take(aside)

    def _warm_up(
        self,
        judge: Judge,
        inputs: Inputs,
        clips: Clips,
        further: Clips | None,
        compute: Compute,
        run: Run,
    ) -> None:
        matches = np.flatnonzero(clips.labels == 1)
        if further is not None:
            inputs = Inputs(judge, further, self.config, compute, run)
            inputs.keep_lower()
            matches = np.arange(len(further))
        options = replace(self._options(judge, inputs), epochs=self.config.warm_up_epochs)
        warm_up(judge, inputs, matches, options, compute, run)
        facts = {"warm_up": self.config.warm_up, "warm_up_clips": len(matches)}
        run.note(**facts, **self._warm_up_digest())

    def _options(self, judge: Judge, inputs: Inputs) -> TrainOptions:
        config = self.config
        lr, warmup = schedule_by_width(judge.whisper.config.d_model)
        lr = adapters.LEARNING_RATE if config.lora else lr
        return TrainOptions(
            epochs=config.epochs,
            batch_size=config.batch_size,
            lr=config.lr if config.lr is not None else lr,
            warmup=config.warmup if config.warmup is not None else warmup,
            weight_decay=config.weight_decay,
            average_last=config.average_last,
            order=config.order,
            capacity=inputs.capacity,
            mixed=True,
        )

    def predict(self, clips: Clips, run: Run) -> NDArray[np.float64]:
        """Return the sigmoid of each clip's score."""
        if self._judge is None:
            raise RuntimeError("predict before fit or load")
        compute = Compute(run)
        judge = self._judge.place(compute).eval()
        logits = Inputs(judge, clips, self.config, compute, run).numbers(False, "predict")
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
    """Return the baseline recipe's learning rate and warm-up for a Whisper of this width."""
    if width <= 512:
        return 3e-5, 0.0
    return (3e-5, 0.1) if width <= 768 else (2e-5, 0.2)
