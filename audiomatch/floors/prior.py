"""The floors `base-rate`, `prior` and `speaker`: shares of matches in the training part."""

from __future__ import annotations

import json
from collections import Counter
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from audiomatch.clips import Clips
from audiomatch.config import MatcherConfig
from audiomatch.matcher import Matcher, Run


class BaseRateConfig(MatcherConfig):
    """`base-rate` has no options."""


class BaseRate(Matcher):
    """Predicts the training part's share of matches for every clip."""

    Config = BaseRateConfig
    rate: float | None = None

    def fit(self, train: Clips, run: Run) -> None:  # noqa: ARG002 - the contract's
        """Take the share of matches."""
        self.rate = float(train.labels.mean())

    def predict(self, clips: Clips, run: Run) -> NDArray[np.float64]:  # noqa: ARG002 - the contract's
        """Return the share of matches for each clip."""
        return np.full(len(clips), self.fitted(self.rate))

    def save(self, folder: Path) -> None:
        """Write the share as JSON."""
        content = {"rate": self.fitted(self.rate)}
        (folder / "floor.json").write_text(json.dumps(content), encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Read it again."""
        self.rate = float(json.loads((folder / "floor.json").read_text(encoding="utf-8"))["rate"])


class PriorConfig(MatcherConfig):
    """Options of `prior`."""

    strength: float = Field(10.0, gt=0, le=1e6, description="Weight of the wider rate, in clips.")


class Prior(Matcher):
    """Predicts the share of matches of a clip's task and text, shrunk towards wider shares.

    With s = `strength`: p(task) = (matches + s p) / (clips + s), where p is the share overall, and
    p(task, text) = (matches + s p(task)) / (clips + s). Texts are compared normalised. A text not
    seen in training gets its task's share, a task not seen the overall one.
    """

    Config = PriorConfig
    rate: float | None = None

    def fit(self, train: Clips, run: Run) -> None:  # noqa: ARG002 - the contract's
        """Count matches by task, and by task and text."""
        labels, tasks = train.labels.astype(float), train["task"].tolist()
        self.rate = rate = float(labels.mean())
        self.tasks = {
            task: self._shrunk(hits, clips, rate)
            for task, (hits, clips) in _count(tasks, labels).items()
        }
        cells = list(zip(tasks, train.text_groups, strict=True))
        self.cells = {
            (task, text): self._shrunk(hits, clips, self.tasks[task])
            for (task, text), (hits, clips) in _count(cells, labels).items()
        }

    def predict(self, clips: Clips, run: Run) -> NDArray[np.float64]:  # noqa: ARG002 - the contract's
        """Look up each clip's task and text."""
        rate = self.fitted(self.rate)
        cells = zip(clips["task"].tolist(), clips.text_groups, strict=True)
        found = [self.cells.get(cell, self.tasks.get(cell[0], rate)) for cell in cells]
        return np.asarray(found, np.float64)

    def save(self, folder: Path) -> None:
        """Write the shares as JSON."""
        rate = self.fitted(self.rate)
        cells = [[task, text, p] for (task, text), p in self.cells.items()]
        content = {"rate": rate, "tasks": self.tasks, "cells": cells}
        (folder / "floor.json").write_text(json.dumps(content), encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Read them again."""
        content = json.loads((folder / "floor.json").read_text(encoding="utf-8"))
        self.rate = float(content["rate"])
        self.tasks = {task: float(p) for task, p in content["tasks"].items()}
        self.cells = {(task, text): float(p) for task, text, p in content["cells"]}

    def _shrunk(self, hits: float, clips: int, towards: float) -> float:
        strength = self.config.strength
        return float((hits + strength * towards) / (clips + strength))


class SpeakerPrior(Prior):
    """Predicts the share of matches of a clip's speaker, shrunk towards the overall share.

    (matches + s p) / (clips + s) with s = `strength` and the overall share p, which is also that of
    a speaker not seen in training.
    """

    def fit(self, train: Clips, run: Run) -> None:  # noqa: ARG002 - the contract's
        """Count matches by speaker."""
        labels = train.labels.astype(float)
        self.rate = rate = float(labels.mean())
        counts = _count(self._speakers(train), labels)
        self.tasks = {name: self._shrunk(*count, rate) for name, count in counts.items()}
        self.cells = {}

    def predict(self, clips: Clips, run: Run) -> NDArray[np.float64]:  # noqa: ARG002 - the contract's
        """Look up each clip's speaker."""
        rate = self.fitted(self.rate)
        found = [self.tasks.get(name, rate) if name else rate for name in self._speakers(clips)]
        return np.asarray(found, np.float64)

    def _speakers(self, clips: Clips) -> list[str]:
        """Return who speaks; empty where the data do not say."""
        if "speaker" not in clips.frame.columns:
            return [""] * len(clips)
        return [str(name) for name in clips["speaker"].fillna("")]


def _count(keys: list[Any], labels: NDArray[np.float64]) -> dict[Any, tuple[float, int]]:
    hits = Counter(compress(keys, labels == 1))
    return {key: (float(hits[key]), clips) for key, clips in Counter(keys).items()}
