"""What a matcher costs: the features that it shares with others are counted to each."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import audiomatch
from audiomatch import Run
from audiomatch.cache import ArrayCache
from audiomatch.clips import Clips
from audiomatch.cost import FeatureSeconds
from audiomatch.memory import PeakMemory, tree_mb
from audiomatch.plugins import Registry
from audiomatch.scoring import markdown_table
from tests.toys import Toy, toy_plugin

Plugin = Callable[..., Registry]
EACH = 1.0  # seconds of a clip's features
ALL = pytest.approx(36 * EACH)  # of the corpus
NAMES = ("toy", "toy@strength=2")


class Clock:
    """Time that passes where features are computed alone."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


CLOCK = Clock()


@pytest.fixture
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "perf_counter", CLOCK)


def slow(items: list[Any]) -> Iterator[Any]:
    for _ in items:
        CLOCK.now += EACH
        yield np.zeros(1)


class Featured(Toy):
    """Uses features that take their time."""

    def fit(self, train: Clips, run: Run) -> None:
        ArrayCache(run, "slow", 1).fill(train.digests, slow)
        super().fit(train, run)

    def predict(self, clips: Clips, run: Run) -> Any:
        ArrayCache(run, "slow", 1).fill(clips.digests, slow)
        return super().predict(clips, run)


@contextmanager
def another() -> Iterator[None]:
    """Start a process that takes 300 MiB."""
    other = "import time; held = b'1' * 300 * 2**20; print(flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", other], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        yield
        child.kill()


def take_200_mib() -> None:
    held = np.ones(200 * 2**17)
    time.sleep(1)
    held.sum()


class Hungry(Toy):
    """Takes 200 MiB for a moment, while a process of its own takes more."""

    def fit(self, train: Clips, run: Run) -> None:
        with another():
            take_200_mib()
        super().fit(train, run)


@pytest.mark.usefixtures("_clock")
def test_features_that_matchers_share_are_counted_to_each(
    plugin: Plugin, corpus: Path, tmp_path: Path
) -> None:
    plugin(toy=toy_plugin(Featured))
    how = {"folds": 3, "floors": "none", "executor": "inline", "cache": tmp_path / "cache"}
    board = audiomatch.compare(corpus, NAMES, out=tmp_path / "cold", **how).record
    cold, warm = (board.row(name) for name in NAMES)
    assert (cold.warm, warm.warm) == (False, True)
    assert (cold.seconds, warm.seconds) == (ALL, ALL), "of all clips once, not once a fold"
    assert "w |" in markdown_table(board)
    again = audiomatch.compare(corpus, "toy", out=tmp_path / "warm", **how).record
    assert again.row("toy").warm and again.row("toy").seconds == ALL


@pytest.mark.usefixtures("_clock")
def test_the_search_for_speech_is_counted_to_each(
    plugin: Plugin, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hear(samples: Any) -> bool:
        CLOCK.now += EACH
        return True

    monkeypatch.setattr("audiomatch.speech.has_speech", hear)
    plugin(toy=toy_plugin(Toy))
    how = {"folds": 3, "floors": "none", "executor": "inline", "cache": tmp_path / "cache"}
    board = audiomatch.compare(corpus, NAMES, out=tmp_path / "run", **how).record
    first, second = (board.row(name) for name in NAMES)
    assert first.seconds == pytest.approx(second.seconds, rel=0.1)  # threads hear ahead
    assert first.seconds > 36 * EACH * 0.9, "of the clips of each fold, and of some it is fitted on"
    assert (first.warm, second.warm) == (False, False), "none of its own features was kept"


@pytest.mark.usefixtures("_clock")
def test_features_made_of_others_are_counted_with_these(run: Run) -> None:
    def outer(positions: list[int]) -> Iterator[Any]:
        ArrayCache(job, "inner", 1).fill(["a"], slow)
        return slow(positions)

    job = run
    ArrayCache(job, "outer", 1).fill(["b"], outer)
    assert job.feature_seconds.computed == pytest.approx(2 * EACH)
    job = replace(run, feature_seconds=FeatureSeconds())
    for _ in range(2):
        ArrayCache(job, "outer", 1).fill(["b"], slow)
    assert job.feature_seconds.computed == 0
    assert job.feature_seconds.cached == pytest.approx(2 * EACH)


def test_memory_is_what_the_matcher_takes(plugin: Plugin, corpus: Path, tmp_path: Path) -> None:
    plugin(toy=toy_plugin(Hungry))
    how = {"folds": 2, "floors": "base-rate", "executor": "inline"}
    board = audiomatch.compare(corpus, "toy", out=tmp_path / "run", **how).record
    own, peak = board.row("toy").own_memory_mb, board.row("toy").peak_memory_mb
    assert own is not None and peak is not None
    assert 490 < own < peak, "with the 300 MiB of a process that it starts"


def test_memory_that_was_not_there_at_once_is_not_added() -> None:
    before = tree_mb() - tree_mb(own=False)
    with another(), PeakMemory() as peak:  # of others, who left it
        with another():
            time.sleep(1)
        take_200_mib()
    assert peak.mb is not None and 290 < peak.mb - before < 350
