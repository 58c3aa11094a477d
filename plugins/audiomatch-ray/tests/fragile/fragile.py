"""A plugin of the tests' cluster: a matcher that may take its worker along."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from audiomatch import Matcher, MatcherInfo, Run, hookimpl
from audiomatch.audio import map_audio
from audiomatch.clips import Clips
from audiomatch.config import MatcherConfig
from audiomatch.files import atomic_file


class FragileConfig(MatcherConfig):
    """Options of the matcher.

    `notes` is a folder that the test looks into.
    """

    notes: str
    kills: int = Field(0, description="how many jobs, of all folds, lose their worker")
    fails: bool = Field(False, description="whether to raise an error")
    hangs: bool = Field(
        False, description="whether one job hangs, once it has written the file `hangs`"
    )


class Fragile(Matcher):
    """Predicts by loudness."""

    Config = FragileConfig

    def fit(self, train: Clips, run: Run) -> None:
        notes = Path(self.config.notes)
        with (notes / "fits").open("a") as file:
            file.write(f"{os.getpid()}\n")
        with run.progress.task("learn", total=len(train)) as task:
            for _ in range(len(train)):
                time.sleep(0.02)
                task.advance()
            for n in range(self.config.kills):
                with contextlib.suppress(FileExistsError):
                    (notes / f"killed-{n}").touch(exist_ok=False)
                    os.kill(os.getpid(), signal.SIGKILL)
        if self.config.fails:
            raise ValueError("its own fault")
        self.mean = float(np.mean(self._loudness(train, run)))
        run.note(
            folder=str(train.paths[0].parent),
            cache=str(run.cache),
            workers=run.workers,
        )

    def predict(self, clips: Clips, run: Run) -> Any:
        return 1 / (1 + np.exp(self.mean - np.array(self._loudness(clips, run))))

    def _loudness(self, clips: Clips, run: Run) -> list[float]:
        return map_audio(clips, lambda samples: float((samples**2).sum()), run, "listen")

    def save(self, folder: Path) -> None:
        (folder / "mean.txt").write_text(repr(self.mean))

    def load(self, folder: Path) -> None:
        self.mean = float((folder / "mean.txt").read_text())


def hang(pid: Path) -> None:
    """Write the worker's process id, whole, and wait."""
    with atomic_file(pid) as temporary:
        temporary.write_text(str(os.getpid()))
    time.sleep(600)


@hookimpl
def audiomatch_matchers() -> list[MatcherInfo]:
    """Offer the matcher."""
    return [MatcherInfo("fragile", "breaks when it is told to", lambda: Fragile)]
