"""The floor `pace`: how long a recording is for its text, nothing heard and nothing read."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audiomatch.clips import Clips
from audiomatch.floors.audio import AudioOnly, AudioOnlyConfig
from audiomatch.matcher import Run


class PaceConfig(AudioOnlyConfig):
    """`pace` has no options."""


class Pace(AudioOnly):
    """Logistic regression on seconds and characters, their logarithms, and seconds a character."""

    Config = PaceConfig

    def features(self, clips: Clips, run: Run) -> NDArray[np.float64]:  # noqa: ARG002
        """Return the features of each clip, shape (n, 5)."""
        seconds = np.maximum(clips.seconds, 1e-3)
        letters = np.array([max(len(text), 1) for text in clips.text_groups], np.float64)
        columns = seconds, np.log(seconds), letters, np.log(letters), seconds / letters
        return np.stack(columns, axis=1)
