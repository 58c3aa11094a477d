"""Many clips are predicted in parts, and what was stopped or killed goes on after the last one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

import audiomatch
from audiomatch import Run, shards
from audiomatch.cache import ArrayCache
from audiomatch.clips import Clips
from audiomatch.plugins import Registry
from tests.toys import Toy, toy_plugin

Command = Callable[..., tuple[int, str, str]]
SIZE = 10  # clips of a part: 36 are 4 parts


class Counting(Toy):
    """Notes what it predicts, keeps features, and may be stopped at its third part."""

    seen: ClassVar[list[list[str]]] = []
    stops = False

    def predict(self, clips: Clips, run: Run) -> Any:
        if type(self).stops and len(self.seen) == 2:
            type(self).stops = False
            raise KeyboardInterrupt
        self.seen.append(clips.ids)
        cache = ArrayCache(run, "features", "1")
        cache.fill(clips.digests, lambda missing: [np.ones(8)] * len(missing))
        return np.array([0.3 + len(text) / 100 for text in clips.texts])


class Killed(Counting):
    """Is killed at its third part where the environment says so."""

    def predict(self, clips: Clips, run: Run) -> Any:
        if len(self.seen) == 2 and "KILL" in os.environ:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().predict(clips, run)


@pytest.fixture
def model(
    plugin: Callable[..., Registry], corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A saved model; of more than ten clips the parts are of ten."""
    plugin(toy=toy_plugin(Counting))
    monkeypatch.setattr(shards, "CLIPS", SIZE)
    Counting.seen, Counting.stops = [], False
    return audiomatch.fit("toy", corpus).save(tmp_path / "model")


def left(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache").glob("predictions-*"))


@pytest.mark.parametrize(
    "asked", [["predict", "MODEL", "DATA"], ["score", "DATA", "--model", "MODEL"]]
)
def test_a_command_that_was_stopped_goes_on_after_the_last_part(
    command: Command, model: Path, corpus: Path, tmp_path: Path, asked: list[str]
) -> None:
    asked = [{"MODEL": str(model), "DATA": str(corpus)}.get(word, word) for word in asked]
    Counting.stops = True
    code, _, err = command(*asked, "--out", tmp_path / "p.csv")
    assert code == 130 and "the same command goes on from there" in err
    assert len(left(tmp_path)) == 1 and not (tmp_path / "p.csv").exists()
    assert not list(left(tmp_path)[0].glob("features-*"))
    code, _, err = command(*asked, "--out", tmp_path / "p.csv")
    assert code == 0 and "goes on after 20 clips predicted before" in err
    assert [len(part) for part in Counting.seen] == [10, 10, 10, 6]
    assert len({name for part in Counting.seen for name in part}) == 36
    assert left(tmp_path) == [] and not (tmp_path / "cache" / "features").exists()
    Counting.seen = []
    assert command(*asked, "--out", tmp_path / "whole.csv")[0] == 0
    assert len(Counting.seen) == 4
    assert (tmp_path / "whole.csv").read_bytes() == (tmp_path / "p.csv").read_bytes()


def test_rows_in_another_order_take_no_part_of_before(
    command: Command, model: Path, corpus: Path, tmp_path: Path
) -> None:
    Counting.stops = True
    assert command("predict", model, corpus, "--out", tmp_path / "p.csv")[0] == 130
    table = pd.read_csv(corpus).iloc[::-1]
    table.to_csv(corpus, index=False)
    assert command("predict", model, corpus, "--out", tmp_path / "p.csv")[0] == 0
    expected = [0.3 + len(text) / 100 for text in table["expected_text"]]
    np.testing.assert_allclose(pd.read_csv(tmp_path / "p.csv")["p_match"], expected)


def test_what_was_killed_goes_on_too(
    command: Command,
    plugin: Callable[..., Registry],
    model: Path,
    corpus: Path,
    tmp_path: Path,
) -> None:
    program = """
import importlib.machinery, sys
import audiomatch.plugins
from audiomatch import cli, shards
from importlib.metadata import EntryPoint
from tests.test_shards import SIZE, Killed
from tests.toys import toy_plugin
shards.CLIPS = SIZE
sys.modules["toy"] = module = toy_plugin(Killed)
module.__spec__ = importlib.machinery.ModuleSpec("toy", None)
made = audiomatch.plugins.Registry([EntryPoint("toy", "toy", "audiomatch")])
audiomatch.plugins.registry = lambda: made
cli.main()
"""
    out = tmp_path / "p.csv"
    words = [sys.executable, "-c", program, "predict", str(model), str(corpus), "--out", str(out)]
    environment = {**os.environ, "KILL": "1", "AUDIOMATCH_CACHE": str(tmp_path / "cache")}
    killed = subprocess.run(words, env=environment, cwd=Path(__file__).parents[1], check=False)
    assert killed.returncode == -signal.SIGKILL and len(left(tmp_path)) == 1
    plugin(toy=toy_plugin(Killed))
    code, _, err = command("predict", model, corpus, "--out", out)
    assert code == 0 and "goes on after 20 clips predicted before" in err
    assert [len(part) for part in Counting.seen] == [10, 6] and left(tmp_path) == []
    assert len(pd.read_csv(out)) == 36


def test_parts_are_of_one_model_and_of_the_same_clips(
    model: Path, corpus: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    one = audiomatch.load(model, cache=cache)
    Counting.stops = True
    with pytest.raises(KeyboardInterrupt):
        one.predict(corpus)
    assert len(left(tmp_path)) == 1
    changed = pd.read_csv(corpus)
    changed["audio"] = [str(corpus.parent / name) for name in changed["audio"]]
    changed.loc[0, "expected_text"] = "something else"
    for again, data in ((one, changed), (audiomatch.fit("toy", corpus, cache=cache), corpus)):
        Counting.seen = []
        assert np.isfinite(again.predict(data)).all()
        assert sum(map(len, Counting.seen)) == 36
    assert len(left(tmp_path)) == 1, "what was stopped is still to be finished"


def test_what_is_not_finished_is_listed_and_removed(
    command: Command, model: Path, corpus: Path, tmp_path: Path
) -> None:
    Counting.stops = True
    command("predict", model, corpus, "--out", tmp_path / "p.csv")
    (folder,) = left(tmp_path)
    (folder / "features-killed" / "log-mel").mkdir(parents=True)
    assert folder.name in command("cache")[1]
    assert command("cache", "--remove", folder.name)[0] == 0 and left(tmp_path) == []


def test_a_cache_that_cannot_be_written_costs_nothing_but_the_way_back(
    model: Path, corpus: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    found = audiomatch.load(model, cache=tmp_path / "file" / "cache").predict(corpus)
    assert len(found) == 36 and [len(part) for part in Counting.seen] == [10, 10, 10, 6]
