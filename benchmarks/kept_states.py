"""What is spared where folds, members and `predict` share what a frozen Whisper says of a clip.

python benchmarks/kept_states.py [DATA] [--matchers …] [--limit N] [--folds K]

Each matcher fits and predicts the folds three times, in this process, with the spectrograms
computed before: `apart`, where each fit and each prediction begins with an empty cache; `together`,
with one cache for all; and `again`, with what that left, as another member of an ensemble has it.
Given are CPU seconds, and the log loss, which should not differ.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from audiomatch import Run
from audiomatch.clips import Clips
from audiomatch.folds import Folds, make_folds
from audiomatch.inputs import take_in
from audiomatch.plugins import registry
from audiomatch.spec import MatcherSpec, parse_matchers

SPECTROGRAMS = "log-mel"


class Caches:
    """Folders with the spectrograms alone: the same one again, or a new one each time."""

    def __init__(self, folder: Path, spectrograms: Path, apart: bool) -> None:
        self._folder, self._spectrograms, self._apart = folder, spectrograms, apart
        self._made = 0

    def take(self) -> Path:
        """Return the folder for the next fit or prediction."""
        own = self._folder / str(self._made)
        if self._apart or not own.exists():
            self._made += self._apart
            shutil.copytree(self._spectrograms, own / SPECTROGRAMS)
        return own


def measure(spec: MatcherSpec, clips: Clips, folds: Folds, caches: Caches) -> dict[str, Any]:
    """Fit and predict every fold."""
    p_match, seconds = np.empty(len(clips)), {"fit": 0.0, "predict": 0.0}
    for fold in range(folds.k):
        train, test = folds.split(fold)
        matcher = registry().create(spec)
        for part in seconds:
            run = Run(cache=caches.take())
            start = time.process_time()
            if part == "fit":
                matcher.fit(train, run)
            else:
                p_match[folds.of == fold] = matcher.predict(test, run)
            seconds[part] += time.process_time() - start
    said = np.where(clips.labels == 1, p_match, 1 - p_match).clip(1e-15)
    return {**seconds, "log_loss": float(-np.log(said).mean())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?", help="labelled speech, else mini-screener")
    parser.add_argument("--matchers", default="whisper,whisper@epochs=0")
    parser.add_argument("--limit", type=int, default=240)
    parser.add_argument("--folds", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        warm = Run(cache=folder / "warm")
        clips = take_in(asked.data, warm, True, limit=asked.limit)[0].clips
        folds = make_folds(clips, asked.folds)
        for place, spec in enumerate(parse_matchers(asked.matchers)):
            matcher = registry().create(spec.with_option("epochs", "0"))
            matcher.fit(clips, warm)  # spectrograms, and what is imported first
            own = folder / str(place)
            apart = Caches(own / "apart", warm.cache / SPECTROGRAMS, apart=True)
            together = Caches(own / "together", warm.cache / SPECTROGRAMS, apart=False)
            found = {
                way: measure(spec, clips, folds, caches)
                for way, caches in (("apart", apart), ("together", together), ("again", together))
            }
            print(json.dumps({"matcher": str(spec), **found}), flush=True)


if __name__ == "__main__":
    main()
