"""The matcher: logistic regression on how fast the text would have been said."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from sklearn.linear_model import LogisticRegression

from audiomatch import Matcher, Run
from audiomatch.audio import SAMPLE_RATE, load_audio
from audiomatch.clips import Clips
from audiomatch.config import MatcherConfig


class SpeakingRateConfig(MatcherConfig):
    """Options of `speaking-rate`."""

    regularisation: float = Field(1.0, gt=0, le=1e6, description="inverse of sklearn's C")


def features(clips: Clips, run: Run) -> NDArray[np.float64]:
    """Return log letters per second, its square, and log seconds: shape (n, 3)."""
    rows = []
    with run.progress.task("speaking rate", total=len(clips)) as task:
        for path, text in zip(clips.paths, clips.texts, strict=True):
            seconds = load_audio(path).size / SAMPLE_RATE
            rate = np.log((1 + len(text)) / seconds)
            rows.append([rate, rate * rate, np.log(seconds)])
            task.advance()
    return np.asarray(rows)


class SpeakingRate(Matcher):
    """P(match) from letters per second alone: a clip far too short or long is a mismatch."""

    Config = SpeakingRateConfig

    def fit(self, train: Clips, run: Run) -> None:
        """Fit the regression."""
        x = features(train, run)
        self.mean, self.scale = x.mean(axis=0), x.std(axis=0) + 1e-9
        regression = LogisticRegression(C=1 / self.config.regularisation, max_iter=1000)
        regression.fit((x - self.mean) / self.scale, train.labels)
        self.weights = np.append(regression.coef_[0], regression.intercept_)

    def predict(self, clips: Clips, run: Run) -> NDArray[np.float64]:
        """Return P(match) of each clip."""
        x = (features(clips, run) - self.mean) / self.scale
        return 1 / (1 + np.exp(-(x @ self.weights[:-1] + self.weights[-1])))

    def save(self, folder: Path) -> None:
        """Write the numbers as JSON."""
        state = {name: getattr(self, name).tolist() for name in ("mean", "scale", "weights")}
        (folder / "speaking_rate.json").write_text(json.dumps(state), encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Read them back."""
        state = json.loads((folder / "speaking_rate.json").read_text(encoding="utf-8"))
        for name, value in state.items():
            setattr(self, name, np.asarray(value))
