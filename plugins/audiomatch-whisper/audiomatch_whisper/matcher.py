"""The matcher `whisper`."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from audiomatch_torch import (
    Compute,
    TorchMatcher,
    TrainOptions,
    Weights,
    load_into,
    load_tensors,
    read_config,
    save_tensors,
)
from numpy.typing import NDArray
from torch import Tensor

from audiomatch.clips import Clips
from audiomatch.errors import UserError, WeightsError
from audiomatch.explanation import Explanation
from audiomatch.folds import inner_split
from audiomatch.further import further_digest
from audiomatch.matcher import Run
from audiomatch.model import CARD
from audiomatch_whisper.config import WhisperConfig
from audiomatch_whisper.explain.explainer import Explainer
from audiomatch_whisper.net.weights import (
    find_whisper,
    load_whisper,
    packaged_whisper,
    read_text_side,
)
from audiomatch_whisper.score.head import Head, ProductHead
from audiomatch_whisper.score.kept import KeptEvidence
from audiomatch_whisper.score.pipeline import Pipeline
from audiomatch_whisper.score.scorer import Scorer
from audiomatch_whisper.score.targets import prompt_of, refused_texts
from audiomatch_whisper.score.untrained import kept_beside, restored_beside, tensors_beside
from audiomatch_whisper.sound.speech_check import SpeechCheck
from audiomatch_whisper.train import lora
from audiomatch_whisper.train.fine_tune import fine_tune, freeze
from audiomatch_whisper.train.fit_head import fit_head
from audiomatch_whisper.train.transcribe_first import (
    corpus_of,
    further_matches,
    learn_to_transcribe,
)

# What an option needs beyond the package; each is its extra too.
LIBRARIES = {"lora": "peft", "augment": "audiomentations"}
HEAD = "head.safetensors"
# In place of the Whisper where it is an installed package's as it stands: size and digest.
REFERENCE = "weights.json"
# What training changed, as it was before.
UNTRAINED = "untrained.safetensors"
OLDER = "fitted by an older version, fit it again"


class WhisperMatcher(TorchMatcher[Scorer]):
    """P(match) from how probable Whisper's decoder finds the text, given the speech."""

    Config = WhisperConfig
    config: WhisperConfig

    def __init__(self, config: WhisperConfig) -> None:
        super().__init__(config)
        self._explainer: Explainer | None = None
        self._check = SpeechCheck()
        self._untrained: dict[str, str] | None = (
            None  # the fingerprint, where `fit` trained nothing
        )

    def sources(self) -> dict[str, Weights]:
        """Find the Whisper, once the libraries that the options need are there."""
        require_libraries(self.config)
        return {"weights": find_whisper(self.config.weights, self.config.size)}

    def fingerprint(self) -> dict[str, str]:
        """Return the digests of the weights that `fit` starts from and of what it transcribes."""
        return {**super().fingerprint(), **self._further_digest()}

    def _further_digest(self) -> dict[str, str]:
        data = corpus_of(self.config)
        return {} if data is None else {"transcribe_first_digest": further_digest(data)}

    def further_data(self) -> list[str]:
        """Return what is transcribed first beyond the training part."""
        data = corpus_of(self.config)
        return [] if data is None else [data]

    def refuses(self, clips: Clips, run: Run) -> list[str | None]:  # noqa: ARG002 - the contract's
        """Name texts of more tokens than the decoder holds."""
        if self._model is None:
            tokenizer, longest = read_text_side(self.weights["weights"])
        else:  # which may have been saved elsewhere
            tokenizer, longest = self._model.whisper.tokenizer, self._model.whisper.longest
        return refused_texts(clips, tokenizer, longest, prompt_of(self.config, tokenizer))

    def start(self) -> Scorer:
        """Make the Whisper and a head that has not been fitted."""
        whisper = load_whisper(self.weights["weights"], self.config.size)
        return Scorer(whisper, self.config)

    def place(self, model: Scorer, compute: Compute) -> Scorer:
        """Move to the device, and see what it computes natively."""
        return model.place(compute)

    def learn(self, model: Scorer, train: Clips, compute: Compute) -> None:
        """Fit the head and, with epochs, fine-tune; transcribe first where asked to."""
        every, (train, held_out) = train, self._hold_out(train, compute.run)
        self._untrained = None
        if self.config.trains or compute.ranks.devices:
            self._train(model, train, compute)
        else:
            self._untrained = self.fingerprint()
            self._fit_head(model, train, self._kept(compute).of(model, train, compute), compute)
        if held_out is not None:
            logits = self.logits(model.eval(), held_out, compute)
            self.calibrate(logits, held_out, every)
        self._check = SpeechCheck.of(train, compute.run)
        self._explainer = Explainer(model, self.config, self._check)
        self._explainer.remember(train, compute.run.seed)

    def _train(self, model: Scorer, train: Clips, compute: Compute) -> None:
        config = self.config
        further = further_matches(config, compute.run)
        freeze(model, embeddings=config.embeddings == "trained")
        pipeline = Pipeline(model, train, config, compute)
        pipeline.keep_frozen()
        if model.head is not None:
            kept = None if compute.ranks.devices else self._kept(compute)
            evidence = kept.compute(pipeline) if kept else pipeline.features("features")
            self._fit_head(model, train, evidence, compute)
            if isinstance(model.head, ProductHead) and config.trains:
                model.untrained = kept_beside(model.model)
        merge = lora.add_adapters(model, config.lora) if config.lora else None
        if config.transcribe_first:
            self._transcribe_first(pipeline, further)
            if model.head is not None:
                model.head.fit(pipeline.features("features"), train.labels)
        fine_tune(pipeline, config, self._options(pipeline))
        if merge is not None:
            merge()

    def _kept(self, compute: Compute) -> KeptEvidence:
        return KeptEvidence(self.config, self._untrained or self.fingerprint(), compute)

    def _fit_head(
        self, model: Scorer, train: Clips, evidence: NDArray[np.float64], compute: Compute
    ) -> None:
        def evidence_of(clips: Clips) -> NDArray[np.float64]:
            if compute.ranks.devices:  # one's cache may hold what another's has not
                return Pipeline(model, clips, self.config, compute).features("features")
            return self._kept(compute).of(model, clips, compute)

        fit_head(model, train, evidence, evidence_of, self.config, compute.run)

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
        compute = pipeline.compute
        matches = np.flatnonzero(pipeline.clips.labels == 1)
        if further is not None:
            pipeline = Pipeline(pipeline.scorer, further, self.config, compute)
            pipeline.keep_frozen()
            matches = np.arange(len(further))
        options = replace(self._options(pipeline), epochs=self.config.transcribe_first_epochs)
        learn_to_transcribe(pipeline, matches, options)
        compute.run.note(
            transcribe_first=self.config.transcribe_first,
            transcribe_first_clips=len(matches),
            **self._further_digest(),
        )

    def _options(self, pipeline: Pipeline) -> TrainOptions:
        config = self.config
        lr, warmup = schedule_by_width(pipeline.scorer.model.config.d_model)
        return replace(
            config.train_options(
                lr=lora.LEARNING_RATE if config.lora else lr,
                warmup=warmup,
                capacity=pipeline.capacity,
            ),
            average_last=config.average_last,
            order=config.order,
            mixed=True,
        )

    def predict(self, clips: Clips, run: Run) -> NDArray[np.float64]:
        """Return the calibrated probability of each clip, low where nobody speaks."""
        return self._check.cap(super().predict(clips, run), clips, run)

    def logits(self, model: Scorer, clips: Clips, compute: Compute) -> NDArray[np.float64]:
        """Return what the head makes of each clip's features."""
        if self._untrained is None or model.head is None:
            return Pipeline(model, clips, self.config, compute).logits("predict")
        evidence = torch.from_numpy(self._kept(compute).of(model, clips, compute))
        kept = evidence.float().to(compute.device)
        with torch.no_grad():
            found: Tensor = model.head(kept)
            logits = found.cpu().double().numpy()
            if isinstance(model.head, ProductHead):  # which may have been said twice
                rows = np.flatnonzero(model.head.only_more(kept).cpu().numpy())
                if len(rows):
                    again = Pipeline(model, clips.take(rows), self.config, compute)
                    logits[rows] = again.logits("said twice")
        return logits

    def explain(self, clips: Clips, run: Run) -> list[Explanation]:
        """Return each clip's words with P(said), times by attention, and what was heard."""
        with self.computing(run) as (_, compute):
            return self.fitted(self._explainer).explain(clips, compute, self.calibration)

    def prepare_explain(self, run: Run) -> None:
        """Calibrate P(said), which `explain` does otherwise when it is first asked."""
        with self.computing(run) as (_, compute):
            self.fitted(self._explainer).prepare(compute)

    def write(self, model: Scorer, folder: Path) -> None:
        """Write a Hugging Face folder with the fine-tuned Whisper, and what was fitted beside it.

        `explain` of a loaded model needs what `prepare_explain` calibrates.
        """
        model.whisper.save(folder)
        if model.head is not None:
            save_tensors(model.head.state_dict(), folder / HEAD)
        if model.untrained is not None:
            save_tensors(tensors_beside(model.untrained, model.model), folder / UNTRAINED)
        self.fitted(self._explainer).save(folder)
        self._check.save(folder)

    def read(self, folder: Path) -> Scorer:
        """Restore what `write` wrote."""
        self.config = _as_fitted(self.config, folder)
        scorer = Scorer(load_whisper(_weights_of(folder)), self.config)
        if scorer.head is not None:
            _load_head(scorer.head, folder / HEAD)
        before = folder / UNTRAINED
        if before.is_file():
            scorer.untrained = restored_beside(scorer.model, load_tensors(before), str(before))
        elif isinstance(scorer.head, ProductHead) and self.config.trains:
            raise WeightsError(f"{before}: it is missing; {OLDER}")
        self._check = SpeechCheck.load(folder)
        self._explainer = Explainer(scorer, self.config, self._check).load(folder)
        return scorer


def _as_fitted(config: WhisperConfig, folder: Path) -> WhisperConfig:
    """Return the options with strict spelling for a model from before there was a choice."""
    if not (folder / CARD).is_file() or "spelling" in read_config(folder, CARD)["config"]:
        return config
    return config.model_copy(update={"spelling": "strict"})


def _load_head(head: Head | ProductHead, file: Path) -> None:
    tensors = load_tensors(file)
    try:
        load_into(head, tensors, str(file))
    except WeightsError:
        if not isinstance(head, ProductHead):
            raise
        raise WeightsError(f"{file}: not the head of score=complete; {OLDER}") from None


def _weights_of(folder: Path) -> Weights:
    """Return the Whisper of a model folder: its own, or the package's that it refers to."""
    if (folder / REFERENCE).is_file():
        return packaged_whisper(**read_config(folder, REFERENCE))
    return Weights(str(folder), folder, (folder / "model.safetensors",))


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
