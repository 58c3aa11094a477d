"""The floor `audio-only`: logistic regression on statistics of the waveform."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audiomatch.clips import Clips
from audiomatch.config import MatcherConfig
from audiomatch.floors.features import audio_features
from audiomatch.floors.logistic import Logistic, fit_logistic
from audiomatch.matcher import Matcher, Run


class AudioOnlyConfig(MatcherConfig):
    """`audio-only` has no options."""


class AudioOnly(Matcher):
    """Logistic regression on standardised statistics of the waveform."""

    Config = AudioOnlyConfig
    model: Logistic | None = None

    def features(self, clips: Clips, run: Run) -> NDArray[np.float64]:
        """Return the statistics of each clip, shape (n, d)."""
        return audio_features(clips, run)

    def fit(self, train: Clips, run: Run) -> None:
        """Learn scales and coefficients."""
        features = self.features(train, run)
        self.mean = features.mean(axis=0)
        spread = features.std(axis=0)
        self.scale = np.where(spread > 1e-9, spread, 1.0)
        rows = np.arange(len(train))
        self.model = fit_logistic(self._scaled(features), rows, train, run.seed)

    def predict(self, clips: Clips, run: Run) -> NDArray[np.float64]:
        """Return the probability that a clip that sounds like this is a match."""
        model = self.fitted(self.model)
        return model.predict(self._scaled(self.features(clips, run)))

    def save(self, folder: Path) -> None:
        """Write scales and coefficients as JSON."""
        model = self.fitted(self.model)
        content = {
            "mean": self.mean.tolist(),
            "scale": self.scale.tolist(),
            "coefficients": model.coefficients.tolist(),
            "intercept": model.intercept,
            "c": model.c,
        }
        (folder / "floor.json").write_text(json.dumps(content), encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Read them again."""
        content = json.loads((folder / "floor.json").read_text(encoding="utf-8"))
        self.mean, self.scale = np.asarray(content["mean"]), np.asarray(content["scale"])
        self.model = Logistic(
            np.asarray(content["coefficients"], np.float64), content["intercept"], content["c"]
        )

    def _scaled(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        # A linear fit says nothing far outside the values that it has seen.
        return np.asarray(np.clip((features - self.mean) / self.scale, -8, 8), np.float64)
