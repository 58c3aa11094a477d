"""`audiomatch rerun` repeats a run from its record, and says what differs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import audiomatch
from audiomatch.clips import Clips
from audiomatch.matcher import Run
from audiomatch.records import RunRecord
from tests.toys import Toy, leave_out_slow_floors, toy_plugin

Command = Callable[..., tuple[int, str, str]]


class Drifting(Toy):
    """Predicts with what a later release adds."""

    drift = 0.0

    def predict(self, clips: Clips, run: Run) -> Any:
        return np.asarray(super().predict(clips, run)) + type(self).drift


@pytest.fixture
def drifting(plugin: Callable, monkeypatch: pytest.MonkeyPatch) -> type[Drifting]:
    """A matcher whose predictions a test moves."""
    leave_out_slow_floors(plugin(toy=toy_plugin(Drifting)), monkeypatch)
    monkeypatch.setattr(Drifting, "drift", 0.0)
    return Drifting


@pytest.fixture
def run(command: Command, corpus: Path, tmp_path: Path, drifting: type[Drifting]) -> Path:
    """A finished run of data that were read by their columns."""
    typed = ("bench", corpus, "--matchers", "toy@strength=2", "--folds", 2, "--seed", 3)
    typed += ("--train-sizes", 10, "--out", tmp_path / "run")
    assert command(*typed)[0] == 0
    return tmp_path / "run"


def test_a_run_is_repeated_without_a_difference(command: Command, run: Path) -> None:
    status, out, _ = command("rerun", run)
    assert status == 0
    assert "toy@strength=2" in out and "equal" in out and "base-rate" in out
    assert "data, folds, code, packages and machine are the same" in out
    made = RunRecord.read(run.parent / "run-rerun" / "run.json")
    before = RunRecord.read(run / "run.json")
    assert made.arguments == before.arguments and made.folds == before.folds
    assert not any(result.replayed for result in made.results)


def test_a_difference_is_told_by_matcher(
    command: Command, run: Path, drifting: type[Drifting]
) -> None:
    drifting.drift = 1e-4
    status, out, _ = command("rerun", run, "--json")
    assert status == 1
    found = json.loads(out)
    rows = {row["matcher"]: row for row in found["rows"]}
    assert not found["same"] and rows["base-rate"]["verdict"] == "equal"
    toy = rows["toy@strength=2"]
    assert toy["verdict"] == "differs" and toy["largest"] == pytest.approx(1e-4)
    assert toy["clips"] == 72  # 36 learned of each whole training part, 36 of ten clips
    shutil.rmtree(run.parent / "run-rerun")
    status, out, _ = command("rerun", run, "--tolerance", 1e-3)
    assert status == 0 and "within 0.001" in out


def test_other_data_and_other_packages_are_named(command: Command, run: Path, corpus: Path) -> None:
    record = json.loads((run / "run.json").read_text())
    record["packages"]["numpy"] = record["versions"]["numpy"] = "0.1"
    (run / "run.json").write_text(json.dumps(record))
    lines = corpus.read_text().splitlines()
    lines[1], lines[7] = lines[1].replace(",0,", ",1,"), lines[7].replace(",1,", ",0,")
    corpus.write_text("\n".join(lines))
    status, out, _ = command("rerun", run)
    assert status == 1 and "differs" in out
    assert "numpy: 0.1 before" in out
    told = [line.split(":")[0] for line in out.splitlines() if " before, " in line]
    assert "data" in told


def test_data_that_moved_are_named_by_the_user(command: Command, run: Path, corpus: Path) -> None:
    moved = corpus.parent.rename(corpus.parent.with_name("moved")) / corpus.name
    status, _, err = command("rerun", run)
    assert status == 2 and str(corpus) in err
    assert command("rerun", run, "--data", moved)[0] == 0


class Elsewhere(Toy):
    """Reads a file by a path that is relative to the working folder."""

    def fit(self, train: Clips, run: Run) -> None:
        assert Path("near", "manifest.csv").is_file()
        super().fit(train, run)


def test_a_run_is_repeated_from_elsewhere_and_where_all_moved_together(
    command: Command,
    corpus: Path,
    tmp_path: Path,
    plugin: Callable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    leave_out_slow_floors(plugin(toy=toy_plugin(Elsewhere)), monkeypatch)
    home = tmp_path / "home"
    home.mkdir()
    corpus.parent.rename(home / "near")
    monkeypatch.chdir(home)
    made = command("bench", "near/manifest.csv", "--matchers", "toy", "--folds", 2, "--out", "run")
    assert made[0] == 0
    moved = home.rename(tmp_path / "moved")
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.chdir(other)
    status, out, err = command("rerun", moved / "run", "--out", "again")
    assert status == 0 and "equal" in out, err
    assert (other / "again" / "run.json").is_file() and Path.cwd() == other


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"arguments": {}}, "does not say how it was asked"),
        ({"arguments": {"folds": 2, "moons": 1}}, "was asked with moons"),
    ],
)
def test_a_record_that_does_not_suffice_is_refused(
    command: Command, run: Path, change: dict[str, Any], said: str
) -> None:
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**record, **change}))
    status, _, err = command("rerun", run)
    assert status == 2 and said in err and "Traceback" not in err


def test_no_run_is_written_over(command: Command, run: Path, tmp_path: Path) -> None:
    status, _, err = command("rerun", run, "--out", run)
    assert status == 2 and "is the run itself" in err
    status, _, err = command("rerun", tmp_path / "none")
    assert status == 2 and "is no run folder" in err


@pytest.mark.usefixtures("drifting")
def test_data_in_memory_must_be_given_again(command: Command, tmp_path: Path) -> None:
    clips = [(np.full(1_600, 0.1 * (i + 1)), 16_000, f"text {i % 6}", i % 2) for i in range(12)]
    how: dict[str, Any] = {"folds": 2, "floors": "none", "executor": "inline"}
    audiomatch.compare(clips, "toy", out=tmp_path / "held", **how)
    status, _, err = command("rerun", tmp_path / "held")
    assert status == 2 and "data in memory" in err and "give --data" in err
