from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile

import audiomatch
from audiomatch import Run, UserError, hookimpl
from audiomatch.clips import Clips
from audiomatch.errors import PluginError
from audiomatch.matcher import Untrained
from audiomatch.plugins import Registry
from audiomatch.records import FoldResult, Leaderboard, RunRecord
from tests.toys import Toy, leave_out_slow_floors, toy_plugin

Command = Callable[..., tuple[int, str, str]]
Plugin = Callable[..., Registry]


class Failing(Toy):
    """Fails on the fold whose training part holds the text named here."""

    def fit(self, train: Clips, run: Run) -> None:
        if "chav" not in train.texts:
            raise RuntimeError("out of luck")
        super().fit(train, run)


class Peeking(Toy):
    """Uses the held-out labels where it finds any."""

    def predict(self, clips: Clips, run: Run) -> Any:
        assert not clips.labelled
        return super().predict(clips, run)


class Wrong(Toy):
    """Gives NaN for one clip."""

    def predict(self, clips: Clips, run: Run) -> Any:
        values = super().predict(clips, run)
        values[1] = np.nan
        return values


class Stopped(Toy):
    """Is interrupted on the third fit."""

    def fit(self, train: Clips, run: Run) -> None:
        super().fit(train, run)
        if type(self).fits == 3:
            raise KeyboardInterrupt


@pytest.fixture(autouse=True)
def _reset() -> None:
    for toy in (Toy, Failing, Peeking, Wrong, Stopped):
        toy.fits = 0


def bench(command: Command, corpus: Path, out: Path, *more: object) -> tuple[int, Any, str]:
    code, output, err = command(
        "bench", corpus, "--matchers", "toy", "--folds", 3, "--out", out, "--json", *more
    )
    return code, json.loads(output) if output else None, err


def row(board: Any, matcher: str = "toy") -> Any:
    return next(r for r in board["rows"] if r["matcher"] == matcher)


def test_run_folder_keeps_its_contract(
    plugin: Plugin, command: Command, corpus: Path, tmp_path: Path
) -> None:
    plugin(toy=toy_plugin(Peeking))
    code, board, _ = bench(command, corpus, tmp_path / "run", "--floors", "all")
    assert code == 0
    names = {r["matcher"] for r in board["rows"]}
    assert {"toy", "base-rate", "prior", "text-only", "audio-only"} <= names
    predictions = pd.read_parquet(tmp_path / "run" / "predictions.parquet")
    own = predictions[predictions["matcher"] == "toy"]
    assert sorted(own["id"]) == sorted(pd.read_csv(corpus)["audio"])
    assert {"id", "matcher", "fold", "group", "match", "p_match"} <= set(predictions.columns)
    folds = json.loads((tmp_path / "run" / "folds.json").read_text())
    assert folds["fold_of"] == dict(zip(own["id"], own["fold"], strict=True))
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    assert run["folds"]["digest"] == folds["digest"]
    assert run["data"]["clips"] == 36 and run["seed"] == 0 and run["device"] == "cpu"
    assert (tmp_path / "run" / "report.html").stat().st_size > 1_000
    expected = -np.mean(np.log(np.where(own["match"] == 1, own["p_match"], 1 - own["p_match"])))
    assert row(board)["log_loss"] == pytest.approx(expected)


def with_untrained(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make a plugin whose toy says that it is untrained with strength 0."""
    module = toy_plugin()
    (info,) = module.audiomatch_matchers()
    info = replace(info, untrained=Untrained({"strength": "0"}, same=("colour",)))
    monkeypatch.setattr(module, "audiomatch_matchers", hookimpl(lambda: [info]))
    return module


def kinds(board: Any) -> dict[str, str]:
    return {row["matcher"]: row["kind"] for row in board["rows"]}


def test_a_matcher_untrained_is_a_floor_beside_it(
    plugin: Plugin,
    command: Command,
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plugin(toy=with_untrained(monkeypatch))
    _, board, _ = bench(command, corpus, tmp_path / "run", "--floors", "base-rate,untrained")
    assert kinds(board) == {"base-rate": "floor", "toy": "matcher", "toy@strength=0": "floor"}
    assert row(board)["untrained"] == "toy@strength=0"
    _, board, _ = bench(command, corpus, tmp_path / "none", "--floors", "none")
    assert kinds(board) == {"toy": "matcher"}
    # Computed as a matcher of its own, it is a floor where the trained one joins it.
    bench(command, corpus, tmp_path / "one", "--floors", "none", "--matchers", "toy@strength=0")
    _, board, _ = bench(command, corpus, tmp_path / "one", "--floors", "untrained")
    assert kinds(board) == {"toy": "matcher", "toy@strength=0": "floor"}
    assert row(board, "toy@strength=0")["replayed_folds"] == 3


def test_a_floor_that_is_none_is_refused(
    plugin: Plugin, command: Command, corpus: Path, tmp_path: Path
) -> None:
    plugin(toy=toy_plugin())
    code, _, err = bench(command, corpus, tmp_path / "run", "--floors", "base-rat")
    assert code == 2 and "no floor 'base-rat'; did you mean 'base-rate'?" in err


def test_second_run_replays(plugin: Plugin, command: Command, corpus: Path, tmp_path: Path) -> None:
    plugin(toy=toy_plugin())
    _, first, _ = bench(command, corpus, tmp_path / "run")
    assert Toy.fits == 3
    _, second, err = bench(command, corpus, tmp_path / "run")
    assert Toy.fits == 3 and "replayed" in err
    assert row(second)["log_loss"] == row(first)["log_loss"]
    assert row(second)["replayed_folds"] == 3
    assert row(second)["seconds_fit"] == row(first)["seconds_fit"]


def test_rows_in_another_order_are_the_same_data(
    plugin: Plugin, command: Command, corpus: Path, tmp_path: Path
) -> None:
    table = pd.read_csv(corpus)
    table.insert(0, "id", [f"c{i}" for i in range(len(table))])
    table.to_csv(corpus, index=False)
    plugin(toy=toy_plugin())
    found = []
    for _ in range(2):
        _, board, err = bench(command, corpus, tmp_path / "run", "--matchers", "toy,prior")
        predictions = pd.read_parquet(tmp_path / "run" / "predictions.parquet")
        found.append(predictions.set_index(["matcher", "id"]).sort_index())
        table.sample(frac=1, random_state=1)[table.columns[::-1]].to_csv(corpus, index=False)
    assert Toy.fits == 3 and row(board, "prior")["replayed_folds"] == 3, err
    pd.testing.assert_frame_equal(found[0], found[1])


@pytest.mark.parametrize("change", ["config", "label", "audio"])
def test_nothing_stale_is_replayed(
    plugin: Plugin, command: Command, corpus: Path, tmp_path: Path, change: str
) -> None:
    plugin(toy=toy_plugin())
    bench(command, corpus, tmp_path / "run")
    more: list[object] = []
    if change == "config":
        more = ["--matchers", "toy@strength=2"]
    elif change == "label":
        table = pd.read_csv(corpus)
        table.loc[0, "match"] = 1 - table.loc[0, "match"]
        table.to_csv(corpus, index=False)
    else:
        wave, rate = soundfile.read(corpus.parent / "000.wav")
        soundfile.write(corpus.parent / "000.wav", wave / 2, rate)
    code, _, err = bench(command, corpus, tmp_path / "run", *more)
    if change == "label":  # folds are alike in labels, so they are other folds
        assert code == 2 and "folds" in err and Toy.fits == 3
    else:
        assert Toy.fits == 6


def test_a_failing_fold_is_shown_and_hinders_nothing(
    plugin: Plugin, command: Command, corpus: Path, tmp_path: Path
) -> None:
    plugin(toy=toy_plugin(Failing))
    code, board, err = bench(command, corpus, tmp_path / "run")
    assert code == 1
    assert (row(board)["folds_done"], row(board)["folds_failed"]) == (2, 1)
    assert row(board)["status"] == "partial"
    assert "out of luck" in json.dumps(row(board)) and "out of luck" in err
    assert row(board, "base-rate")["status"] == "done"
    bench(command, corpus, tmp_path / "run")
    assert Failing.fits == 2, "a failed fold is tried again, a finished one is not"


def test_predictions_that_are_no_probability_fail_by_name(
    plugin: Plugin, command: Command, corpus: Path, tmp_path: Path
) -> None:
    plugin(toy=toy_plugin(Wrong))
    code, board, _ = bench(command, corpus, tmp_path / "run")
    assert code == 1 and row(board)["status"] == "failed"
    assert "manifest.csv, row" in json.dumps(row(board))
    assert row(board)["log_loss"] is None


def test_interrupt_keeps_finished_folds(
    plugin: Plugin, command: Command, corpus: Path, tmp_path: Path
) -> None:
    plugin(toy=toy_plugin(Stopped))
    code, _, err = bench(command, corpus, tmp_path / "run")
    assert code == 130 and "stopped" in err and "Traceback" not in err
    code, board, _ = bench(command, corpus, tmp_path / "run")
    assert code == 0 and Stopped.fits == 4
    assert row(board)["replayed_folds"] == 2


def test_listeners_hear_and_may_fail_loudly(
    plugin: Plugin, command: Command, corpus: Path, tmp_path: Path
) -> None:
    heard: list[Any] = []
    given: list[Any] = []

    def audiomatch_fold_done(matcher: str, fold: int, result: FoldResult) -> None:
        heard.append((matcher, fold))
        given.append(result)

    def audiomatch_run_done(folder: Path, leaderboard: Leaderboard) -> None:
        given.append(leaderboard)
        assert (folder / "run.json").exists() and (folder / "report.html").exists()
        raise RuntimeError(f"cannot post {folder.name}")

    plugin(
        toy=toy_plugin(
            audiomatch_fold_done=audiomatch_fold_done, audiomatch_run_done=audiomatch_run_done
        )
    )
    code, _, err = bench(command, corpus, tmp_path / "run")
    assert [pair for pair in heard if pair[0] == "toy"] == [("toy", 0), ("toy", 1), ("toy", 2)]
    assert code == 1 and "cannot post run" in err
    *results, board = given
    assert isinstance(board, Leaderboard) and board.row("toy").folds_done == 3
    assert all(isinstance(result, FoldResult) and result.done for result in results)
    assert board == Leaderboard.read(tmp_path / "run" / "leaderboard.json")
    assert sum(len(result.p_match) for result in results if result.matcher == "toy") == 36
    problems = RunRecord.read(tmp_path / "run" / "run.json").listener_errors
    assert len(problems) == 1 and "cannot post run" in problems[0]


@pytest.mark.parametrize("ending", ["note", "NaN", "exit"])
def test_what_a_matcher_may_not_do_fails_its_fold_alone(
    plugin: Plugin, command: Command, corpus: Path, tmp_path: Path, ending: str
) -> None:
    class Odd(Toy):
        def fit(self, train: Clips, run: Run) -> None:
            super().fit(train, run)
            run.note(fine=1, odd={"note": {1}, "NaN": float("nan")}.get(ending))
            if ending == "exit":
                raise SystemExit(3)

    plugin(toy=toy_plugin(Odd))
    code, board, err = bench(command, corpus, tmp_path / "run")
    assert code == 1 and "Traceback" not in err
    says = "SystemExit: 3" if ending == "exit" else "the note 'odd' is no JSON"
    assert row(board)["status"] == "failed" and says in row(board)["errors"][0]["error"]
    assert row(board, "base-rate")["status"] == "done"
    notes = RunRecord.read(tmp_path / "run" / "run.json").results[-1].notes
    assert notes["fine"] == 1 and (ending == "exit" or "odd" not in notes)


def test_notes_are_json_once_they_are_noted(run: Run) -> None:
    many = {"of": [1]}
    run.note(one=np.float32(1.5), all=np.arange(2), right=np.bool_(True), many=many)
    many["of"].append(2)
    assert json.dumps(run.notes) == json.dumps(
        {"one": 1.5, "all": [0, 1], "right": True, "many": {"of": [1]}}
    )
    for odd in ({1}, np.float64("nan"), np.float32("inf"), {(1, 2): 3}, "x" * 10**6 + "\ud800"):
        with pytest.raises(PluginError, match="the note 'odd' is no JSON") as caught:
            run.note(odd=odd)
        assert len(str(caught.value)) < 200


def test_a_matcher_that_changes_its_clips_spoils_no_other(
    plugin: Plugin,
    command: Command,
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Vandal(Toy):
        def fit(self, train: Clips, run: Run) -> None:
            super().fit(train, run)
            self._spoil(train)
            train.frame["match"] = 1
            train.frame.loc[:, "task"] = "none"

        def predict(self, clips: Clips, run: Run) -> Any:
            p_match = super().predict(clips, run)
            self._spoil(clips)
            return p_match

        def _spoil(self, clips: Clips) -> None:
            clips.frame["expected_text"] = "moon"
            clips.frame["audio"] = clips.frame["audio"].iloc[0]
            for values in clips.known.values():
                with pytest.raises(ValueError, match="read-only"):
                    values[:] = values[0]
            clips.known.clear()

    names = "toy,prior,ensemble@members=(toy,prior)"
    boards = []
    for matcher in (Toy, Vandal):
        leave_out_slow_floors(plugin(toy=toy_plugin(matcher)), monkeypatch)
        out = tmp_path / matcher.__name__
        code, board, err = bench(command, corpus, out, "--matchers", names)
        assert code == 0, err
        boards.append([(one["matcher"], one["log_loss"]) for one in board["rows"]])
    assert boards[0] == boards[1]


def test_limit_draws_by_the_seed(
    plugin: Plugin, command: Command, corpus: Path, tmp_path: Path
) -> None:
    plugin(toy=toy_plugin())
    ids = []
    for out in ("a", "b"):
        bench(command, corpus, tmp_path / out, "--limit", 20)
        ids.append(json.loads((tmp_path / out / "folds.json").read_text())["fold_of"])
    assert len(ids[0]) == 20 and ids[0] == ids[1]


def test_weights_are_asked_for_before_any_work(
    plugin: Plugin, command: Command, corpus: Path, tmp_path: Path
) -> None:
    class Weightless(Toy):
        def fingerprint(self) -> dict[str, str]:
            raise UserError("no weights 'x'")

    plugin(toy=toy_plugin(Weightless))
    code, _, err = bench(command, corpus, tmp_path / "run")
    assert code == 2 and "no weights 'x'" in err and "Traceback" not in err


class OfFewWords(Toy):
    """Takes no text of more than one word."""

    def refuses(self, clips: Clips, run: Run) -> list[str | None]:
        return [f"{text!r} is long" if " " in text else None for text in clips.texts]


def test_what_one_matcher_refuses_is_left_out_for_all_before_any_fold(
    plugin: Plugin, command: Command, corpus: Path, tmp_path: Path
) -> None:
    plugin(toy=toy_plugin(OfFewWords))
    table = pd.read_csv(corpus)
    long = table["expected_text"].str.contains(" ")
    assert 0 < long.sum() < len(table) - 6
    code, _, err = bench(command, corpus, tmp_path / "run")
    assert code == 2 and OfFewWords.fits == 0 and not (tmp_path / "run" / "folds.json").exists()
    assert "row" in err and "toy: " in err and " is long" in err and "--skip-bad" in err
    code, board, err = bench(command, corpus, tmp_path / "run", "--skip-bad")
    assert code == 0 and f"left out {long.sum()} clips" in err
    assert {r["n"] for r in board["rows"]} == {len(table) - long.sum()}


class Heavy(Toy):
    """Its weights are nowhere."""

    def fingerprint(self) -> dict[str, str]:
        raise UserError("no weights 'x'")


def test_what_one_matcher_cannot_have_costs_its_row(
    plugin: Plugin, command: Command, corpus: Path, tmp_path: Path
) -> None:
    plugin(toy=toy_plugin(), heavy=toy_plugin(Heavy, "heavy"))
    run = ("bench", corpus, "--folds", 2, "--out", tmp_path / "run", "--matchers")
    for _ in range(2):  # it is not kept
        code, out, err = command(*run, "toy,heavy,toy@strength=99")
        assert code == 1 and "heavy: skipped: no weights 'x'" in out
        assert err.count("heavy: skipped: ") == 1 and "Traceback" not in err
    found = audiomatch.compare(
        *(corpus, "toy,heavy"),
        folds=2,
        floors="base-rate",
        out=tmp_path / "run",
        executor="inline",
    )
    assert found.problems == ["heavy: skipped: no weights 'x'"]
    skipped = found.record.row("heavy")
    assert (skipped.status, skipped.folds_done, skipped.folds_failed) == ("skipped", 0, 0)
    assert {result.status for result in found.run.results} == {"done", "skipped"}
    assert "heavy" in repr(found) and "skipped: no weights" in repr(found)
    code, _, err = command(*run, "toy,heavy", "--fold", 1, "--out", tmp_path / "other")
    assert code == 1 and command(*run, "toy,heavy", "--fold", 2, "--out", tmp_path / "other")[0]
    assert (tmp_path / "other" / "leaderboard.json").exists()


@pytest.mark.parametrize(
    ("matchers", "more", "says"),
    [
        ("toy,heavy", ["--strict"], "no weights 'x'"),
        ("heavy,toy@strength=99", [], "no weights 'x'"),
        ("toy,heavy,toy@strenght=1", [], "no option 'strenght'; did you mean 'strength'?"),
        ("heavy,toy,toi", [], "no matcher 'toi'; did you mean 'toy'?"),
        ("toy,ensemble@members=(toy,toi)", [], "no matcher 'toi'; did you mean 'toy'?"),
        ("toy,toy:weka", [], "no preset of toy 'weka'; did you mean 'weak'?"),
        ("toy", ["--timeout", "3"], "no option 'timeout'"),
    ],
)
def test_what_stops_all_of_a_comparison(
    plugin: Plugin,
    command: Command,
    corpus: Path,
    tmp_path: Path,
    matchers: str,
    more: list[str],
    says: str,
) -> None:
    plugin(toy=toy_plugin(), heavy=toy_plugin(Heavy, "heavy"))
    out = tmp_path / "run"
    code, shown, err = command("bench", corpus, "--matchers", matchers, "--out", out, *more)
    assert code == 2 and not shown and says in err
    assert len(err.splitlines()) == 1 and not out.exists()
