"""A clip in which nobody speaks is no match, however well its text goes on from silence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audiomatch.clips import Clips
from audiomatch.files import write_json
from audiomatch.matcher import Run
from audiomatch.speech import low_without_speech, speech_is_heard

FILE = "speech.json"


class SpeechCheck:
    """Keeps P under a ceiling where a voice activity detector hears nobody.

    It does so where the detector hears speech in the matches that were learned from: not on a
    corpus of tones, say, whose texts are matched by other sounds.

    Attributes:
        on: whether it does.
    """

    def __init__(self, on: bool = False) -> None:
        self.on = on

    @classmethod
    def of(cls, train: Clips, run: Run) -> SpeechCheck:
        """See whether the detector hears speech in some of the matches of `train`."""
        return cls(speech_is_heard(train, run))

    def save(self, folder: Path) -> None:
        """Write whether it is on."""
        write_json(folder / FILE, {"on": self.on})

    @classmethod
    def load(cls, folder: Path) -> SpeechCheck:
        """Restore what `save` wrote; off for a model that was saved without."""
        file = folder / FILE
        return cls(file.is_file() and json.loads(file.read_text(encoding="utf-8"))["on"] is True)

    def cap(self, p: NDArray[np.float64], clips: Clips, run: Run) -> NDArray[np.float64]:
        """Return P(match), no more than the ceiling for clips without speech."""
        return low_without_speech(p, clips, run) if self.on else p
