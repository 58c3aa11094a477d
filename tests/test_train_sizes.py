"""What more labels are worth: matchers that learn from less of each training part."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import audiomatch
from audiomatch import MatcherInfo, ReadyModel, Run, hookimpl
from audiomatch.clips import Clips
from audiomatch.folds import nested_part
from audiomatch.model import digest_of_folder
from audiomatch.plugins import Registry
from audiomatch.records import Leaderboard
from tests.toys import Toy, leave_out_slow_floors, toy_plugin

Command = Callable[..., tuple[int, str, str]]
Plugin = Callable[..., Registry]
SIZES = ["--folds", 3, "--train-sizes", "0,6,12,all"]


class Learner(Toy):
    """Is the surer of labels, which it reads off the task, the more clips it learned from."""

    seen: list[tuple[str, ...]] = []

    def fit(self, train: Clips, run: Run) -> None:
        super().fit(train, run)
        type(self).seen.append(tuple(train.ids))
        self.sure = len(train) / (len(train) + 10)

    def predict(self, clips: Clips, run: Run) -> Any:
        return np.where(clips["task"] == "said", 0.5 + self.sure / 2, 0.5 - self.sure / 2)

    def load(self, folder: Path) -> None:
        self.sure = 0.1


@pytest.fixture
def told(corpus: Path) -> Path:
    """The corpus with the label in the column `task`."""
    table = pd.read_csv(corpus)
    table["task"] = np.where(table["match"] == 1, "said", "other")
    table.to_csv(corpus, index=False)
    return corpus


@pytest.fixture
def learner(plugin: Plugin, monkeypatch: pytest.MonkeyPatch) -> None:
    Learner.seen = []
    leave_out_slow_floors(plugin(toy=toy_plugin(Learner)), monkeypatch)


def bench(command: Command, corpus: Path, out: Path, *more: object) -> tuple[int, Any, str]:
    how = ["--matchers", "toy", "--out", out, "--json", "--allow", "label-in-column", *more]
    code, output, err = command("bench", corpus, *how)
    return code, json.loads(output) if output else None, err


@pytest.mark.usefixtures("learner")
def test_each_matcher_learns_from_less_too(command: Command, told: Path, tmp_path: Path) -> None:
    code, board, err = bench(command, told, tmp_path / "run", *SIZES)
    assert code == 0, err
    assert "--train-sizes 0: no point for toy: no ready model is there" in err
    points = [point for point in board["learning"] if point["matcher"] == "toy"]
    assert [(p["train_size"], p["n_train"]) for p in points] == [(6, 6), (12, 12), (-1, 24)]
    losses = [p["log_loss"] for p in points]
    assert losses == sorted(losses, reverse=True)
    (own,) = [row for row in board["rows"] if row["matcher"] == "toy"]
    assert losses[-1] == pytest.approx(own["log_loss"]) and own["n"] == 36
    assert [p["change"] for p in points] == [None, *(pytest.approx(d) for d in np.diff(losses))]
    less = pd.read_parquet(tmp_path / "run" / "train_sizes.parquet")
    whole = pd.read_parquet(tmp_path / "run" / "predictions.parquet")
    assert set(less.columns) == {*whole.columns, "train_size"}
    assert set(less["train_size"]) == {6, 12} and len(less) == 2 * len(whole)
    fits = {size: [s for s in Learner.seen if len(s) == size] for size in (6, 12, 24)}
    for small, middle, large in zip(*fits.values(), strict=True):
        assert set(small) < set(middle) < set(large)


@pytest.mark.usefixtures("learner")
def test_a_size_is_replayed_as_folds_are(command: Command, told: Path, tmp_path: Path) -> None:
    _, first, _ = bench(command, told, tmp_path / "run", *SIZES)
    assert len(Learner.seen) == 9
    bench(command, told, tmp_path / "run", "--folds", 3)
    assert not (tmp_path / "run" / "train_sizes.parquet").exists()
    _, second, err = bench(command, told, tmp_path / "run", *SIZES)
    assert len(Learner.seen) == 9 and "toy fold 2/3, 12 clips: replayed" in err
    assert second["learning"] == first["learning"]
    code, out, _ = command("leaderboard", tmp_path / "run")
    assert code == 0 and "log loss by clips learned from" in out
    assert "toy: from 12 to 24 clips: -0." in out
    _, out, _ = command("leaderboard", tmp_path / "run", "--json")
    assert json.loads(out)["learning"] == first["learning"]
    assert Leaderboard.read(tmp_path / "run" / "leaderboard.json").learning


@pytest.mark.usefixtures("learner")
def test_one_fold_a_call_ends_in_the_same_table(
    command: Command, told: Path, tmp_path: Path
) -> None:
    _, whole, _ = bench(command, told, tmp_path / "whole", *SIZES)
    for fold, missing in ((1, [2, 3]), (3, [2]), (2, [])):
        _, board, _ = bench(command, told, tmp_path / "run", *SIZES, "--fold", fold)
        assert board["missing_folds"] == missing
    assert board["learning"] == whole["learning"]


def test_no_clips_stand_for_the_ready_model(
    plugin: Plugin, told: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = plugin(toy=toy_plugin(Learner))
    leave_out_slow_floors(registry, monkeypatch)
    package = tmp_path / "carrier"
    audiomatch.fit("toy", told).save(package / "ready")
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    toys = toy_plugin(Learner)
    ready = ReadyModel("carrier:ready", digest_of_folder(package / "ready"))

    @hookimpl
    def audiomatch_matchers() -> list[MatcherInfo]:
        return [MatcherInfo("toy", "a toy", lambda: Learner, ready=ready)]

    toys.audiomatch_matchers = audiomatch_matchers  # type: ignore[attr-defined]
    leave_out_slow_floors(plugin(toy=toys), monkeypatch)
    found = audiomatch.compare(
        *(told, "toy"),
        folds=3,
        floors="base-rate",
        train_sizes=[0, 12],
        out=tmp_path / "run",
        executor="inline",
        allow=["label-in-column"],
    )
    points = [point for point in found.record.learning if point.matcher == "toy"]
    assert [(p.train_size, p.n_train) for p in points] == [(0, 0), (12, 12), (-1, 24)]
    assert points[0].log_loss == pytest.approx(-np.log(0.55))
    assert points[1].change is None, "it is no size of the same curve"
    assert "ready: the fitted model" in repr(found)


@pytest.mark.parametrize("sizes", ["1", "x", "-5", "6,,9", "24", "99"])
@pytest.mark.usefixtures("learner")
def test_a_size_that_is_none_is_named(
    command: Command, told: Path, tmp_path: Path, sizes: str
) -> None:
    code, _, err = bench(command, told, tmp_path / "r", "--folds", 3, "--train-sizes", sizes)
    assert code == 2 and "--train-sizes" in err and not Learner.seen


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=4, max_size=40), st.data())
@settings(max_examples=25, deadline=None)
def test_parts_are_nested_and_of_both_classes(
    rows: list[tuple[int, bool]], data: st.DataObject
) -> None:
    labels = [int(label) for _, label in rows]
    labels[:2] = [0, 1]
    frame = pd.DataFrame(
        {
            "id": [f"c{i}" for i in range(len(rows))],
            "audio": "/none.wav",
            "expected_text": [f"text {group}" for group, _ in rows],
            "match": np.array(labels, np.int8),
        }
    )
    clips = Clips(frame)
    small, large = sorted(data.draw(st.tuples(*[st.integers(2, len(rows))] * 2)))
    parts = [clips.take(nested_part(clips, size, (1, 2))) for size in (small, large)]
    assert [len(part) for part in parts] == [small, large]
    assert set(parts[0].ids) <= set(parts[1].ids)
    assert all(set(part.labels) == {0, 1} for part in parts)
    mixed = clips.take(data.draw(st.permutations(range(len(rows)))))
    again = mixed.take(nested_part(mixed, small, (1, 2)))
    assert set(again.ids) == set(parts[0].ids)
    cut = [g for g in set(parts[0].groups) if parts[0].groups.count(g) < clips.groups.count(g)]
    assert len(cut) <= 2, "whole groups but the last, and one that brings the other class"
