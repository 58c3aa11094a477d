"""The matcher `asr`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from audiomatch_torch import Compute, TorchMatcher, Weights, load_into, load_tensors, save_tensors
from numpy.typing import NDArray
from torch import nn

from audiomatch.clips import Clips
from audiomatch.folds import inner_folds
from audiomatch.matcher import Run
from audiomatch_asr.config import ASRConfig
from audiomatch_asr.families import find, load, read_texts
from audiomatch_asr.head import Head
from audiomatch_asr.recogniser import Recogniser
from audiomatch_asr.scoring import evidence_of
from audiomatch_asr.texts import Texts

HEAD = "head.safetensors"
INNER_FOLDS = 5


class ASRScorer(nn.Module):
    """A recogniser and the head that makes a logit of its evidence."""

    def __init__(self, asr: Recogniser) -> None:
        super().__init__()
        self.asr = asr
        self.head = Head()


class ASRMatcher(TorchMatcher[ASRScorer]):
    """P(match) from the log probability that a recogniser gives the text.

    The recogniser is not trained: `fit` learns a logistic regression of seven numbers of a clip.
    """

    Config = ASRConfig
    config: ASRConfig

    def sources(self) -> dict[str, Weights]:
        """Find the weights of the recogniser."""
        return {"weights": find(self.config.weights)}

    def refuses(self, clips: Clips, run: Run) -> list[str | None]:  # noqa: ARG002 - the contract's
        """Name words without tokens, and texts of more than the decoder holds."""
        model = self._model  # which may have been saved elsewhere
        texts = model.asr.texts if model else self._texts()
        return [texts.refused(text) for text in clips.texts]

    def _texts(self) -> Texts:
        return read_texts(self.weights["weights"], self.config.language)

    def start(self) -> ASRScorer:
        """Load the recogniser, with a head that has not been fitted."""
        return ASRScorer(load(self.weights["weights"], self.config.language))

    def place(self, model: ASRScorer, compute: Compute) -> ASRScorer:
        """Move the recogniser to the device; the head stays on the CPU."""
        model.asr.to(compute.device)
        return model

    def learn(self, model: ASRScorer, train: Clips, compute: Compute) -> None:
        """Fit the head, and calibrate it on inner folds that it was not fitted on."""
        seed, labels = compute.run.seed, train.labels
        found = self._evidence(model, train, compute)
        logits = np.full(len(train), np.nan)
        for rest, held_out in inner_folds(train, INNER_FOLDS, seed):
            if len(np.unique(labels[rest])) == 2:
                model.head.fit(found[rest], train.take(rest), seed)
                logits[held_out] = model.head(found[held_out])
        seen = np.flatnonzero(np.isfinite(logits))
        if len(seen):
            self.calibrate(logits[seen], train.take(seen), train)
        else:
            compute.run.note(warning="too few clips to hold some out: not calibrated")
        model.head.fit(found, train, seed)

    def logits(self, model: ASRScorer, clips: Clips, compute: Compute) -> NDArray[np.float64]:
        """Return what the head makes of each clip's evidence."""
        return np.asarray(model.head(self._evidence(model, clips, compute)))

    def _evidence(self, model: ASRScorer, clips: Clips, compute: Compute) -> NDArray[np.float64]:
        model.eval()
        return evidence_of(clips, model.asr, self.config.seconds_at_once, compute)

    def write(self, model: ASRScorer, folder: Path) -> None:
        """Write a Hugging Face folder with the recogniser, and head.safetensors."""
        model.asr.save(folder)
        save_tensors(model.head.state_dict(), folder / HEAD)

    def read(self, folder: Path) -> ASRScorer:
        """Restore what `write` wrote."""
        saved = Weights(str(folder), folder, (folder / "model.safetensors",))
        scorer = ASRScorer(load(saved, self.config.language))
        load_into(scorer.head, load_tensors(folder / HEAD), str(folder / HEAD))
        return scorer
