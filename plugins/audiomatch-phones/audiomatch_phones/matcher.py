"""The matcher `phones`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audiomatch.clips import Clips
from audiomatch.errors import UserError, brief
from audiomatch.explanation import Explanation
from audiomatch.files import write_json
from audiomatch.matcher import Matcher, Run
from audiomatch_phones.alignment import Words
from audiomatch_phones.config import PhonesConfig
from audiomatch_phones.espeak import espeak_version
from audiomatch_phones.evidence import Evidence, evidence
from audiomatch_phones.explaining import Explainer, examples_of
from audiomatch_phones.head import Head
from audiomatch_phones.model_files import model_digest
from audiomatch_phones.pronouncing import pronunciations

STATE = "phones.json"


class PhonesMatcher(Matcher):
    """P(match) from how well a clip's speech fits the phones of its text.

    Nothing of the acoustic model is trained: `fit` learns how good and how long each phone is where
    it is said right, and a logistic regression of some thirty numbers of a clip.
    """

    Config = PhonesConfig
    config: PhonesConfig

    def __init__(self, config: PhonesConfig) -> None:
        super().__init__(config)
        self._head: Head | None = None
        self._explainer: Explainer | None = None
        self._examples: Clips | None = None

    def fingerprint(self) -> dict[str, str]:
        """Return the digest of the acoustic model, and with letters=espeak its version.

        Raises `UserError` where either is not installed.
        """
        own = {"acoustic_model_digest": model_digest()}
        return own | {"espeak": espeak_version()} if self.config.letters == "espeak" else own

    def refuses(self, clips: Clips, run: Run) -> list[str | None]:  # noqa: ARG002 - the contract's
        """Name words of which no letter is known."""
        return [self._refused(text) for text in clips.texts]

    def _refused(self, text: str) -> str | None:
        words = zip(text.split(), self._words(text), strict=True)
        unknown = next((word for word, ways in words if not ways), None)
        return unknown and f"phones cannot say {brief(unknown)}: it knows the letters a to z"

    def fit(self, train: Clips, run: Run) -> None:
        """Learn from `train`; see the class."""
        self._head = Head.fit(self._evidence(train, run), train, run)
        self._explainer = None
        self._examples = examples_of(train, self.config.explain_clips, run.seed)
        run.note(calibration=self._head.calibration.to_json())

    def predict(self, clips: Clips, run: Run) -> NDArray[np.float64]:
        """Return P(match) of each clip; see `Matcher.predict`."""
        head = self.fitted(self._head)
        return head(self._evidence(clips, run)) if len(clips) else np.zeros(0)

    def prepare_explain(self, run: Run) -> None:
        """Learn P(said) of words and phones, which `explain` does otherwise when first asked."""
        self._explain(run)

    def explain(self, clips: Clips, run: Run) -> list[Explanation]:
        """Return each clip's words and phones with P(said), their times, and the phones heard."""
        explainer, found = self._explain(run), self._evidence(clips, run)
        p_match = self.fitted(self._head)(found)
        return [
            explainer.explain(*row)
            for row in zip(clips.ids, clips.texts, p_match.tolist(), found, strict=True)
        ]

    def save(self, folder: Path) -> None:
        """Write what was learned as JSON; P(said) where it was prepared."""
        content = self.fitted(self._head).to_json()
        if self._explainer is not None:
            content["said"] = self._explainer.to_json()
        write_json(folder / STATE, content | self.fingerprint())

    def load(self, folder: Path) -> None:
        """Restore what `save` wrote. Raises `UserError` where it does not fit this version."""
        try:
            content = json.loads((folder / STATE).read_text(encoding="utf-8"))
            self._head = Head.from_json(content)
            said = content.get("said")
            self._explainer = said and Explainer.from_json(said, self._head.norms)
            digest = str(content["acoustic_model_digest"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{folder}: not a saved phones matcher ({brief(error)})") from None
        if digest != model_digest():
            raise UserError(
                f"{folder}: this model was fitted with another acoustic model than that of the "
                f"installed pocketsphinx ({digest[:12]}, now {model_digest()[:12]}); fit it again"
            )

    def _words(self, text: str) -> Words:
        return [pronunciations(word, self.config.letters) for word in text.split()]

    def _evidence(self, clips: Clips, run: Run) -> list[Evidence]:
        return evidence(clips, [self._words(text) for text in clips.texts], run)

    def _explain(self, run: Run) -> Explainer:
        if self._explainer is None:
            head = self.fitted(self._head)
            if self._examples is None:
                raise UserError(
                    f"this model has no P(said) in its {STATE}: it was not prepared to explain "
                    "before it was saved, as `audiomatch fit` does; fit it again"
                )
            texts = [self._words(text) for text in self._examples.texts]
            self._explainer = Explainer.learn(self._examples, texts, head.norms, run)
        return self._explainer
