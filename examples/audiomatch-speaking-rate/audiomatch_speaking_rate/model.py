"""The matcher: logistic regression on letters per second."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from sklearn.linear_model import LogisticRegression

from audiomatch import Matcher, Run
from audiomatch.clips import Clips
from audiomatch.config import MatcherConfig
from audiomatch_speaking_rate.durations import durations


class SpeakingRateConfig(MatcherConfig):
    """Options of `speaking-rate`."""

    c: float = Field(1.0, gt=0, le=1e6, description="Inverse of the penalty on the weights.")
    spaces: bool = Field(True, description="Whether spaces of the text count as letters.")


class SpeakingRate(Matcher):
    """P(match) from letters per second: far from what is usual for a match is a mismatch."""

    Config = SpeakingRateConfig
    # The usual rate, the weights of both features and the intercept; None before fit or load.
    learned: list[float] | None = None

    def fit(self, train: Clips, run: Run) -> None:
        """Learn the usual rate of matches, and how much a distance from it tells."""
        rates = self.rates(train, run)
        usual = float(rates[train.labels == 1].mean())
        model = LogisticRegression(C=self.config.c, random_state=run.seed)
        model.fit(features(rates, usual), train.labels)
        self.learned = [usual, *model.coef_[0].tolist(), float(model.intercept_[0])]
        run.note(letters_per_second=float(np.exp(usual)))

    def predict(self, clips: Clips, run: Run) -> NDArray[np.float64]:
        """Return P(match) of each clip."""
        usual, first, second, intercept = self.fitted(self.learned)
        x = features(self.rates(clips, run), usual)
        score = x[:, 0] * first + x[:, 1] * second + intercept
        return 1 / (1 + np.exp(-np.clip(score, -500, 500)))

    def rates(self, clips: Clips, run: Run) -> NDArray[np.float64]:
        """Return log letters per second of each clip, shape (n,)."""
        texts = clips.texts if self.config.spaces else ["".join(t.split()) for t in clips.texts]
        letters = np.asarray([len(text) for text in texts])
        return np.log(letters / durations(clips, run))

    def save(self, folder: Path) -> None:
        """Write what `fit` learned."""
        content = json.dumps(self.fitted(self.learned))
        (folder / "speaking_rate.json").write_text(content, encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Read it back."""
        self.learned = json.loads((folder / "speaking_rate.json").read_text(encoding="utf-8"))


def features(rates: NDArray[np.float64], usual: float) -> NDArray[np.float64]:
    """Return how far each rate is from the usual one, and the square of that, shape (n, 2)."""
    apart = rates - usual
    return np.stack([apart, apart**2], axis=1)
