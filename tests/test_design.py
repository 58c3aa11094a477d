"""What is fitted on what: fixed splits, single folds, and run folders of one design."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import audiomatch
from audiomatch import Run, UserError
from audiomatch.clips import Clips
from audiomatch.plugins import Registry
from audiomatch.records import FoldsRecord, Leaderboard, RunRecord
from tests.conftest import write_corpus, write_tone
from tests.toys import Toy, leave_out_slow_floors, toy_plugin

Plugin = Callable[..., Registry]
Command = Callable[..., tuple[int, str, str]]


class Noting(Toy):
    """Remembers what it was fitted on and what it predicted."""

    fitted: list[list[str]] = []
    predicted: list[list[str]] = []

    def fit(self, train: Clips, run: Run) -> None:
        super().fit(train, run)
        self.fitted.append(train.ids)

    def predict(self, clips: Clips, run: Run) -> Any:
        self.predicted.append(clips.ids)
        return super().predict(clips, run)


@pytest.fixture(autouse=True)
def _noting(plugin: Plugin, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_out_slow_floors(plugin(toy=toy_plugin(Noting)), monkeypatch)
    Noting.fits = 0
    Noting.fitted, Noting.predicted = [], []


def bench(command: Command, *arguments: object) -> tuple[int, str, str]:
    return command("bench", *arguments, "--matchers", "toy")


@pytest.fixture
def parts(corpus: Path) -> pd.DataFrame:
    """The corpus with 24 rows to learn from, 10 to predict, and 2 of neither."""
    part = ["train"] * 24 + [" Test"] * 10 + ["dev"] * 2
    table = pd.read_csv(corpus).assign(part=part)
    table.to_csv(corpus, index=False)
    return table


def test_a_column_splits_the_clips(
    command: Command, corpus: Path, parts: pd.DataFrame, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    code, shown, err = bench(command, corpus, "--split", "part", "--out", out)
    assert code == 0, err
    assert "train (24), test (10), dev (2); only train and test are used" in err
    assert "--split part: of 10 test clips the text of 10 are in the training part too" in err
    names = parts["audio"].tolist()
    assert Noting.fitted == [names[:24]] and Noting.predicted == [names[24:34]]
    assert "1/1" in shown
    board, run = Leaderboard.read(out / "leaderboard.json"), RunRecord.read(out / "run.json")
    assert board.n == 10 and board.groups == 6 and board.problem is not None
    assert run.folds.split == "--split part" and "10 test clips" in run.folds.warning
    kept = FoldsRecord.read(out / "folds.json").fold_of
    assert kept == {name: 0 if i >= 24 else -1 for i, name in enumerate(names[:34])}
    assert "--split part" in (out / "report.html").read_text()
    again = audiomatch.compare(corpus, "toy", split="part", out=out, executor="inline")
    assert Noting.fits == 1 and "10 test clips" in repr(again)


def test_fit_leaves_out_what_the_column_sets_aside(corpus: Path, parts: pd.DataFrame) -> None:
    model = audiomatch.fit("toy", corpus, split="part")
    assert Noting.fitted == [parts["audio"].tolist()[:24]]
    assert model.card.fit is not None and model.card.fit.split == "part"
    assert model.card.fit.clips == 24


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"split": "half"}, "--split half: manifest.csv has no such column; it has audio"),
        ({"split": "grade"}, r"has 'train' there; it has kg \(18\), 1 \(18\)"),
        ({"split": "part", "folds": 3}, "--folds and --split cannot go together"),
        ({"split": "part", "fold": 2}, "--fold 2: must be from 1 to 1"),
        ({"folds": 3, "fold": 4}, "--fold 4: must be from 1 to 3"),
        ({"test": "data"}, "--test: these are the clips that matchers are fitted on"),
    ],
)
def test_a_design_that_cannot_be_is_refused(
    corpus: Path, parts: pd.DataFrame, tmp_path: Path, how: dict[str, Any], says: str
) -> None:
    if "test" in how:
        how = {"test": corpus}
    with pytest.raises(UserError, match=says):
        audiomatch.compare(corpus, "toy", out=tmp_path / "run", **how, executor="inline")
    assert not (tmp_path / "run" / "folds.json").exists()


def test_other_data_are_predicted(command: Command, corpus: Path, tmp_path: Path) -> None:
    other = write_corpus(tmp_path / "other", 12)
    (other.parent / "000.wav").write_bytes((corpus.parent / "003.wav").read_bytes())
    write_tone(other.parent / "001.wav", 0.31, hertz=333)
    table = pd.read_csv(other).assign(expected_text=["moon", *[f"new {i}" for i in range(11)]])
    table.to_csv(other, index=False)
    out = tmp_path / "run"
    code, _, err = bench(command, corpus, "--test", other, "--out", out)
    assert code == 2 and "the recording of 11 of 12 held-out clips is learned from too" in err
    go_on = ("--allow", "recordings-across-folds")
    code, _, err = bench(command, corpus, "--test", other, "--out", out, *go_on)
    assert code == 0, err
    assert Noting.predicted == [table["audio"].tolist()]
    assert len(Noting.fitted[0]) == 36 and "train/000.wav" in Noting.fitted[0]
    assert "of 12 test clips the text of 1 and the recording of" in err
    run = RunRecord.read(out / "run.json")
    assert run.test is not None and run.test.source == str(other) and run.test.clips == 12
    assert run.data.clips == 36 and Leaderboard.read(out / "leaderboard.json").n == 12


def test_the_labelled_test_half_of_drivendata(command: Command, tmp_path: Path) -> None:
    folder = tmp_path / "screener"
    for half, names in {"train": "abcd", "test": "ef"}.items():
        (folder / half).mkdir(parents=True)
        head = "filename,task,expected_text,grade\n"
        rows = "".join(f"{name}.wav,deletion,word {name},KG\n" for name in names)
        (folder / f"{half}_metadata.csv").write_text(head + rows)
        scores = "".join(f"{name}.wav,{i % 2}\n" for i, name in enumerate(names))
        (folder / f"{half}_labels.csv").write_text(f"filename,score\n{scores}")
        for i, name in enumerate(names):
            write_tone(folder / half / f"{name}.wav", 0.3, hertz=100 * (i + len(names)))
    test = folder / "test_metadata.csv"
    code, _, err = bench(command, folder, "--test", test, "--out", tmp_path / "run")
    assert code == 0, err
    assert Noting.fitted == [["a.wav", "b.wav", "c.wav", "d.wav"]]
    assert Noting.predicted == [["e.wav", "f.wav"]]
    code, _, err = bench(command, folder, "--test", folder, "--out", tmp_path / "run")
    assert code == 2 and "FOLDER/test_metadata.csv" in err


def test_mismatches_are_made_in_the_part_that_has_none(
    command: Command, corpus: Path, tmp_path: Path
) -> None:
    other = write_corpus(tmp_path / "other", 12)
    pd.read_csv(corpus).query("match == 1").to_csv(corpus, index=False)
    how = ("--test", other, "--negatives", "swap", "--out", tmp_path / "run")
    how = (*how, "--allow", "recordings-across-folds")
    code, _, err = bench(command, corpus, *how)
    assert code == 0, err
    assert len(Noting.fitted[0]) == 36 and len(Noting.predicted[0]) == 12


def test_single_folds_gather_in_one_folder(command: Command, corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    how = (corpus, "--folds", 3, "--out", out)
    code, shown, _ = bench(command, *how, "--fold", 2)
    assert code == 0 and "still to compute: --fold 1, 3" in shown
    assert Noting.fits == 1 and not (out / "leaderboard.json").exists()
    code, shown, _ = bench(command, *how, "--fold", 1, "--json")
    assert code == 0 and json.loads(shown)["missing_folds"] == [3] and Noting.fits == 2
    code, shown, _ = bench(command, *how, "--fold", 3)
    assert code == 0 and "toy" in shown and "3/3" in shown and Noting.fits == 3
    gathered = Leaderboard.read(out / "leaderboard.json").row("toy")
    whole = audiomatch.compare(
        corpus, "toy", folds=3, out=tmp_path / "whole", executor="inline"
    ).record.row("toy")
    assert gathered.log_loss == whole.log_loss and gathered.status == "done"


def test_a_fold_that_another_job_ends_meanwhile_is_seen(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"

    def another_job(self: Toy, train: Clips, run: Run) -> None:
        monkeypatch.setattr(Noting, "fit", Toy.fit)
        audiomatch.compare(corpus, "toy", folds=2, fold=2, out=out, executor="inline")
        assert not (out / "leaderboard.json").exists()
        Toy.fit(self, train, run)

    monkeypatch.setattr(Noting, "fit", another_job)
    assert not audiomatch.compare(
        corpus, "toy", folds=2, fold=1, out=out, executor="inline"
    ).missing
    assert Leaderboard.read(out / "leaderboard.json").row("toy").folds_done == 2


def test_a_further_matcher_joins_the_table(
    plugin: Plugin, command: Command, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    how: dict[str, Any] = {
        "folds": 2,
        "floors": "base-rate,prior",
        "out": out,
        "executor": "inline",
    }
    audiomatch.compare(corpus, "toy", **how)
    both = audiomatch.compare(corpus, "toy:weak", **how)
    assert {"toy", "toy:weak"} <= set(both.leaderboard.index) and Noting.fits == 4
    assert (
        both.difference("toy", "toy:weak").verdict is None
        and both.record.row("toy").replayed_folds == 2
    )
    command("bench", corpus, "--matchers", "toy@strength=2", "--folds", 2, "--out", out)
    assert {row.matcher for row in Leaderboard.read(out / "leaderboard.json").rows} >= {
        *both.leaderboard.index,
        "toy@strength=2",
    }
    file = next(f for f in (out / "folds").iterdir() if f.name.startswith("toy-weak"))
    file.unlink()
    code, _, err = command("bench", corpus, "--matchers", "toy", "--folds", 2, "--out", out)
    assert code == 0 and "toy:weak is left out of the table: not all" in err
    other = plugin(other=toy_plugin(Noting, "other"))
    leave_out_slow_floors(other, monkeypatch)
    code, _, err = command("bench", corpus, "--matchers", "other", "--folds", 2, "--out", out)
    assert code == 0 and "toy, of which the run folder has folds, is left out: no matcher" in err
    assert "toy" not in [r.matcher for r in Leaderboard.read(out / "leaderboard.json").rows]


def test_a_run_folder_is_of_one_design(command: Command, corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert bench(command, corpus, "--folds", 3, "--out", out)[0] == 0
    before = (out / "folds.json").read_bytes()
    for other, says in {
        ("--folds", 2): "holds a comparison by 3 folds by expected_text; this one is 2 folds",
        ("--folds", 3, "--group", "speaker"): "this one is 3 folds by speaker",
        ("--folds", 3, "--seed", 1): "this one is the same of other clips, texts or --seed",
        ("--folds", 3, "--limit", 30): "this one is the same of other clips, texts or --seed",
    }.items():
        code, _, err = bench(command, corpus, *other, "--out", out)
        assert code == 2 and f"--out {out}" in err and says in err, err
    assert (out / "folds.json").read_bytes() == before and Noting.fits == 3
    (out / "folds.json").write_text("{")
    code, _, err = bench(command, corpus, "--folds", 3, "--out", out)
    assert code == 0 and "folds.json: is no JSON" in err and Noting.fits == 3
    assert FoldsRecord.read(out / "folds.json").folds == 3
