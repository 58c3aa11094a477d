"""`audiomatch leaderboard` and `audiomatch compare`: run folders, read back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.toys import toy_plugin

BY_CLIP = ("--folds", 2, "--group", "none", "--allow", "folds-by-row")
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(plugin: Callable, command: Command, corpus: Path, tmp_path: Path) -> Path:
    plugin(toy=toy_plugin())
    made = ("bench", corpus, "--matchers", "toy,toy:weak", *BY_CLIP)
    code, _, said = command(*made, "--out", tmp_path / "run")
    assert code == 0
    assert "with 36 groups a difference of 0." in said and "in 80 % of runs" in said
    return tmp_path / "run"


def test_the_table_is_that_of_the_run(run: Path, command: Command) -> None:
    code, out, _ = command("leaderboard", run, "--json")
    assert code == 0
    assert json.loads(out) == json.loads((run / "leaderboard.json").read_text())
    assert json.loads(command("leaderboard", run, "--format", "json")[1]) == json.loads(out)
    rows = json.loads(out)["rows"]
    csv = pd.read_csv(pd.io.common.StringIO(command("leaderboard", run, "--format", "csv")[1]))
    assert csv["matcher"].tolist() == [row["matcher"] for row in rows]
    assert csv["skill"].tolist() == pytest.approx([row["skill"] for row in rows])
    latex = command("leaderboard", run, "--format", "latex")[1]
    assert latex.count(r"\\") == len(rows) + 1 and r"95 \% interval" in latex
    assert "| toy:weak |" in command("leaderboard", run, "--format", "md")[1]
    assert "not told apart" in command("leaderboard", run)[1]


def test_the_leaderboard_of_an_earlier_release_is_made_anew(run: Path, command: Command) -> None:
    (run / "leaderboard.json").write_text('{"schema_version": 1, "rows": []}')
    table = pd.read_parquet(run / "predictions.parquet")
    table.drop(columns=["task", "grade", "speaker"]).to_parquet(run / "predictions.parquet")
    code, out, _ = command("leaderboard", run)
    assert code == 0 and "toy:weak" in out
    code, _, said = command("compare", run, "toy", "prior", "--by", "speaker")
    assert code == 2 and "--by speaker: the predictions of" in said and len(said.splitlines()) == 1


def test_runs_of_the_same_folds_are_merged(
    run: Path, command: Command, corpus: Path, tmp_path: Path
) -> None:
    made = ("bench", corpus, *BY_CLIP)
    assert command(*made, "--matchers", "toy@strength=0.3", "--out", tmp_path / "b")[0] == 0
    rows = json.loads(command("leaderboard", run, tmp_path / "b", "--json")[1])["rows"]
    names = [row["matcher"] for row in rows]
    assert {"toy", "toy:weak", "toy@strength=0.3", "prior"} <= set(names)
    assert len(set(names)) == len(names)
    assert command(*made, "--matchers", "toy", "--seed", 3, "--out", tmp_path / "c")[0] == 0
    code, _, said = command("leaderboard", run, tmp_path / "c")
    assert code == 2 and f"{tmp_path / 'c'}: has other folds than {run}" in said
    shutil.copytree(run, tmp_path / "d")
    table = pd.read_parquet(run / "predictions.parquet")
    table.assign(p_match=table["p_match"] / 2).to_parquet(tmp_path / "d" / "predictions.parquet")
    code, _, said = command("leaderboard", run, tmp_path / "d")
    assert code == 2 and "with other predictions" in said


def test_two_rows_are_compared(run: Path, command: Command) -> None:
    code, out, _ = command("compare", run, "toy", "prior", "--by", "speaker", "--json")
    found = json.loads(out)
    board = json.loads((run / "leaderboard.json").read_text())
    losses = {row["matcher"]: row["log_loss"] for row in board["rows"]}
    assert code == 0
    assert found["difference"] == pytest.approx(losses["toy"] - losses["prior"])
    parts = found["values"]
    assert sum(part["n"] for part in parts) == found["n"] == 36
    weighted = sum(part["n"] * part["difference"] for part in parts) / 36
    assert weighted == pytest.approx(found["difference"])
    code, out, _ = command("compare", run, "prior", "toy")
    assert code == 0 and f"{-found['difference']:+.3f}" in out and "these fitted models" in out


def test_what_intervals_are_over_may_be_another_column(run: Path, command: Command) -> None:
    by_text = json.loads(
        command("compare", run, "toy", "prior", "--cluster", "speaker", "--json")[1]
    )
    assert by_text["groups"] < 36 and by_text["question"].startswith("these fitted models on other")
    assert "speaker" in by_text["question"]
    board = json.loads(command("leaderboard", run, "--cluster", "id", "--json")[1])
    assert board["groups"] == 36 and board["cluster"] == "id"


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("leaderboard", "{tmp}/none"), "is no run folder"),
        (("compare", "{run}", "toy", "toi"), "no row 'toi'; did you mean 'toy'?"),
        (("compare", "{run}", "toy", "toy"), "they are one matcher"),
        (("compare", "{run}", "toy", "prior", "--by", "nobody"), "--by nobody: the predictions"),
        (("leaderboard", "{run}", "--cluster", "nobody"), "--cluster nobody: the predictions of"),
    ],
)
def test_what_cannot_be_answered_is_said_in_one_line(
    run: Path, tmp_path: Path, command: Command, args: tuple[str, ...], says: str
) -> None:
    code, out, said = command(*(arg.format(run=run, tmp=tmp_path) for arg in args))
    assert (code, out) == (2, "") and says in said and len(said.splitlines()) == 1


def test_a_run_that_cannot_be_over_a_column_is_refused_before_any_work(
    plugin: Callable, command: Command, corpus: Path, tmp_path: Path
) -> None:
    plugin(toy=toy_plugin())
    made = ("bench", corpus, "--matchers", "toy", "--folds", 2, "--out", tmp_path / "run")
    code, _, said = command(*made, "--cluster", "nobody")
    assert code == 2 and "--cluster nobody" in said and "speaker" in said
    assert not (tmp_path / "run" / "folds").exists()
    code, out, _ = command(*made, "--cluster", "speaker", "--matters", 0.5, "--json")
    board = json.loads(out)
    assert code == 0 and (board["cluster"], board["matters"]) == ("speaker", 0.5)
    table = pd.read_parquet(tmp_path / "run" / "predictions.parquet")
    assert board["groups"] == table["speaker"].nunique()
    assert np.isfinite(table["p_match"]).all()
