"""The matcher `whisper`."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from audiomatch_torch import Compute, TrainOptions, Weights, load_into, load_tensors, save_tensors
from numpy.typing import NDArray

from audiomatch.clips import Clips
from audiomatch.errors import UserError
from audiomatch.explanation import Explanation
from audiomatch.folds import inner_split
from audiomatch.further import further_digest
from audiomatch.matcher import Matcher, Run
from audiomatch_whisper.config import WhisperConfig
from audiomatch_whisper.explain.explainer import Explainer
from audiomatch_whisper.net.weights import find_whisper, load_whisper
from audiomatch_whisper.score.pipeline import Pipeline
from audiomatch_whisper.score.scorer import Scorer
from audiomatch_whisper.train import lora
from audiomatch_whisper.train.fine_tune import fine_tune
from audiomatch_whisper.train.transcribe_first import (
    corpus_of,
    further_matches,
    learn_to_transcribe,
)

# What an option needs beyond the package; each is its extra too.
LIBRARIES = {"lora": "peft", "augment": "audiomentations"}


class WhisperMatcher(Matcher):
    """P(match) from how probable Whisper's decoder finds the text, given the speech."""

    Config = WhisperConfig
    config: WhisperConfig

    def __init__(self, config: WhisperConfig) -> None:
        super().__init__(config)
        self._scorer: Scorer | None = None
        self._weights: Weights | None = None
        self._explainer: Explainer | None = None

    def _resolved(self) -> Weights:
        if self._weights is None:
            require_libraries(self.config)
            self._weights = find_whisper(self.config.weights, self.config.size)
        return self._weights

    def fingerprint(self) -> dict[str, str]:
        """Return the digests of the weights that `fit` starts from and of what it transcribes."""
        return {**self._resolved().fingerprint(), **self._further_digest()}

    def _further_digest(self) -> dict[str, str]:
        data = corpus_of(self.config)
        return {} if data is None else {"transcribe_first_digest": further_digest(data)}

    def further_data(self) -> list[str]:
        """Return what is transcribed first beyond the training part."""
        data = corpus_of(self.config)
        return [] if data is None else [data]

    def fit(self, train: Clips, run: Run) -> None:
        """Start from the weights and fine-tune on `train`."""
        further = further_matches(self.config, run)
        compute = Compute(run)
        weights = self._resolved()
        run.note(**weights.facts())
        train, held_out = self._hold_out(train, run)
        scorer = Scorer(load_whisper(weights, self.config.size), self.config).place(compute)
        scorer.freeze(embeddings=self.config.embeddings == "trained")
        merge = lora.add_adapters(scorer, self.config.lora) if self.config.lora else None
        pipeline = Pipeline(scorer, train, self.config, compute, run)
        pipeline.keep_frozen()
        if self.config.transcribe_first:
            self._transcribe_first(pipeline, further)
        if scorer.head is not None:
            scorer.head.fit(pipeline.features("features"), train.labels)
        fine_tune(pipeline, self.config, self._options(pipeline))
        if merge is not None:
            merge()
        if held_out is not None and scorer.head is not None:
            own = Pipeline(scorer.eval(), held_out, self.config, compute, run)
            scorer.head.calibrate(own.logits("calibrate"), held_out.labels)
        self._scorer = scorer
        self._explainer = Explainer(scorer, self.config).remember(train, run.seed)

    def _hold_out(self, train: Clips, run: Run) -> tuple[Clips, Clips | None]:
        """Split off the clips that calibrate; none where they would leave only one label."""
        if not self.config.calibration:
            return train, None
        rest, held_out = inner_split(train, self.config.calibration, run.seed, run.note)
        if min(len(set(train.labels[rest])), len(set(train.labels[held_out]))) < 2:
            run.note(warning="too few clips to hold some out: not calibrated")
            return train, None
        return train.take(rest), train.take(held_out)

    def _transcribe_first(self, pipeline: Pipeline, further: Clips | None) -> None:
        compute, run = pipeline.compute, pipeline.run
        matches = np.flatnonzero(pipeline.clips.labels == 1)
        if further is not None:
            pipeline = Pipeline(pipeline.scorer, further, self.config, compute, run)
            pipeline.keep_frozen()
            matches = np.arange(len(further))
        options = replace(self._options(pipeline), epochs=self.config.transcribe_first_epochs)
        learn_to_transcribe(pipeline, matches, options)
        run.note(
            transcribe_first=self.config.transcribe_first,
            transcribe_first_clips=len(matches),
            **self._further_digest(),
        )

    def _options(self, pipeline: Pipeline) -> TrainOptions:
        config = self.config
        lr, warmup = schedule_by_width(pipeline.scorer.model.config.d_model)
        lr = lora.LEARNING_RATE if config.lora else lr
        return TrainOptions(
            epochs=config.epochs,
            batch_size=config.batch_size,
            lr=config.lr if config.lr is not None else lr,
            warmup=config.warmup if config.warmup is not None else warmup,
            weight_decay=config.weight_decay,
            average_last=config.average_last,
            order=config.order,
            capacity=pipeline.capacity,
            mixed=True,
        )

    def predict(self, clips: Clips, run: Run) -> NDArray[np.float64]:
        """Return the sigmoid of each clip's logit."""
        compute = Compute(run)
        scorer = self.fitted(self._scorer).place(compute).eval()
        logits = Pipeline(scorer, clips, self.config, compute, run).logits("predict")
        return np.asarray(torch.from_numpy(logits).sigmoid().numpy(), dtype=np.float64)

    def explain(self, clips: Clips, run: Run) -> list[Explanation]:
        """Return each clip's words with P(said), times by attention, and what was heard."""
        return self.fitted(self._explainer).explain(clips, run)

    def prepare_explain(self, run: Run) -> None:
        """Calibrate P(said), which `explain` does otherwise when it is first asked."""
        self.fitted(self._explainer).prepare(run)

    def save(self, folder: Path) -> None:
        """Write a Hugging Face folder with the fine-tuned Whisper, and what was fitted beside it.

        `explain` of a loaded model needs what `prepare_explain` calibrates.
        """
        scorer = self.fitted(self._scorer)
        scorer.whisper.save(folder)
        if scorer.head is not None:
            save_tensors(scorer.head.state_dict(), folder / "head.safetensors")
        self.fitted(self._explainer).save(folder)

    def load(self, folder: Path) -> None:
        """Restore what `save` wrote."""
        weights = Weights(str(folder), folder, (folder / "model.safetensors",))
        self._scorer = Scorer(load_whisper(weights), self.config).eval()
        if self._scorer.head is not None:
            file = folder / "head.safetensors"
            load_into(self._scorer.head, load_tensors(file), str(file))
        self._explainer = Explainer(self._scorer, self.config).load(folder)


def require_libraries(config: WhisperConfig) -> None:
    """Raise `UserError` where an option asks for a library that is not installed."""
    for option, library in LIBRARIES.items():
        if getattr(config, option) and find_spec(library) is None:
            raise UserError(
                f"whisper: {option} needs the library {library}: "
                f"pip install audiomatch-whisper[{option}]"
            )


def schedule_by_width(width: int) -> tuple[float, float]:
    """Return the baseline recipe's learning rate and warmup for a Whisper of this width."""
    if width <= 512:
        return 3e-5, 0.0
    return (3e-5, 0.1) if width <= 768 else (2e-5, 0.2)
