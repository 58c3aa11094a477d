"""Repeats of a cross-validation: other folds, other training seeds, and what they tell."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import stats

from audiomatch import Run
from audiomatch.clips import Clips
from audiomatch.plugins import Registry
from audiomatch.records import FoldSummary, Leaderboard
from audiomatch.records.training import draw_of
from audiomatch.scoring.whole import whole_leaderboard
from benchmarks import recipes
from tests.toys import Toy, leave_out_slow_floors, toy_plugin

Command = Callable[..., tuple[int, str, str]]
Plugin = Callable[..., Registry]


class Seeded(Toy):
    """Predicts by its seed alone, and notes what it was given."""

    fits_by: list[tuple[int, frozenset[str]]] = []

    def fit(self, train: Clips, run: Run) -> None:
        super().fit(train, run)
        self.seed = run.seed
        type(self).fits_by.append((run.seed, frozenset(train.ids)))

    def predict(self, clips: Clips, run: Run) -> Any:
        return np.random.default_rng(self.seed).uniform(0.2, 0.8, len(clips))


@pytest.fixture(autouse=True)
def _seeded(plugin: Plugin, monkeypatch: pytest.MonkeyPatch) -> None:
    Seeded.fits_by = []
    leave_out_slow_floors(plugin(toy=toy_plugin(Seeded)), monkeypatch)


def bench(command: Command, corpus: Path, out: Path, *more: object) -> tuple[int, Any, str]:
    how = ("--matchers", "toy", "--folds", 3, "--out", out, "--json", *more)
    code, output, err = command("bench", corpus, *how)
    return code, json.loads(output) if output else None, err


def test_repeats_have_other_folds_and_other_seeds(
    command: Command, corpus: Path, tmp_path: Path
) -> None:
    _, alone, _ = bench(command, corpus, tmp_path / "run")
    code, board, err = bench(command, corpus, tmp_path / "run", "--repeats", 3)
    assert code == 0 and "toy fold 1/3, repeat 3: " in err and board["repeats"] == 3
    assert len(Seeded.fits_by) == 9, "the first repeat is that of one alone, and replayed"
    seeds = [seed for seed, _ in Seeded.fits_by]
    parts = [{part for _, part in Seeded.fits_by[i : i + 3]} for i in (0, 3, 6)]
    assert seeds[0] == 0 and len(set(seeds)) == 3
    assert parts[0] == parts[1] != parts[2], "each two repeats have the same folds"
    predictions = pd.read_parquet(tmp_path / "run" / "predictions.parquet")
    own = predictions[predictions["matcher"] == "toy"]
    assert own.groupby("repeat").size().tolist() == [36, 36, 36]
    assert not own.duplicated(["id", "repeat"]).any()
    (row,) = [row for row in board["rows"] if row["matcher"] == "toy"]
    wanted = -np.log(np.where(own["match"] == 1, own["p_match"], 1 - own["p_match"])).mean()
    assert row["log_loss"] == pytest.approx(wanted)
    assert (row["n"], board["n"], row["folds_done"]) == (36, 36, 9)
    assert board["comparisons"][0]["n"] == 36 and board["matches"] == alone["matches"]
    assert len({(fold["repeat"], fold["fold"]) for fold in row["by_fold"]}) == 9


def test_each_table_says_what_it_answers(command: Command, corpus: Path, tmp_path: Path) -> None:
    bench(command, corpus, tmp_path / "run", "--repeats", 4)
    assert "recipe" in command("leaderboard", tmp_path / "run")[1]
    _, out, _ = command("leaderboard", tmp_path / "run", "--json")
    board = json.loads(out)
    assert board == Leaderboard.read(tmp_path / "run" / "leaderboard.json").model_dump(mode="json")
    assert "4 of each" in board["question"] and "not other training runs" in board["question"]
    pairs = {frozenset((pair["a"], pair["b"])): pair for pair in board["recipe"]}
    pair = pairs[frozenset(("toy", "base-rate"))]
    assert pair["parts"] == 6 and pair["low"] < pair["difference"] < pair["high"]
    assert {part["source"] for part in board["variance"]} >= {"text", "clip", "folds", "seed"}
    _, out, _ = command("compare", tmp_path / "run", "toy", "base-rate", "--json")
    assert json.loads(out)["n"] == 36


@pytest.mark.parametrize("other", [["--negatives", "edit"], ["--split", "task"]])
def test_fixed_folds_are_not_repeated(
    command: Command, corpus: Path, tmp_path: Path, other: list[str]
) -> None:
    table = pd.read_csv(corpus)
    table["task"] = np.where(np.arange(len(table)) % 3 == 0, "test", "train")
    table["match"] = 1 if "--negatives" in other else table["match"]
    table.to_csv(corpus, index=False)
    how = ["--matchers", "toy", "--out", tmp_path / "run", *other, "--repeats", 2]
    code, _, err = command("bench", corpus, *how)
    assert code == 2 and "--repeats" in err and "cannot go together" in err and other[0] in err


def made_up(
    repeats: int, effect: Callable[[NDArray[np.int64], int], NDArray[np.float64]]
) -> Leaderboard:
    """Return the leaderboard of `a` and `b` on 30 texts, b's logits moved by an effect."""
    k, clips = 3, np.arange(120)
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, len(clips))
    good = np.where(labels == 1, 1.5, -1.5) + rng.normal(0, 1, len(clips))
    folds = [rng.permutation(30)[clips // 4] % k for _ in range(draw_of(repeats - 1) + 1)]
    parts, results = [], []
    for repeat in range(repeats):
        of = folds[draw_of(repeat)]
        for name, logits in (("a", good), ("b", good * 0.9 + effect(of, repeat))):
            clip = {"id": clips.astype(str), "group": clips // 4, "match": labels}
            run = {"matcher": name, "fold": of, "repeat": repeat, "speaker": clips % 4}
            parts.append(pd.DataFrame({**clip, **run, "p_match": 1 / (1 + np.exp(-logits))}))
            facts = {"clips_fit": 80, "clips_predict": 40, "seconds_fit": 0, "seconds_predict": 0}
            results += [
                FoldSummary(matcher=name, fold=fold, repeat=repeat, status="done", **facts)
                for fold in range(k)
            ]
    predictions = pd.concat(parts, ignore_index=True)
    return whole_leaderboard(predictions, predictions[:0], results)


def deviations(board: Leaderboard) -> dict[str, float | None]:
    return {part.source: part.deviation for part in board.variance if part.matcher == "b"}


def test_what_moves_a_log_loss_is_told_apart() -> None:
    still = deviations(made_up(4, lambda of, _: np.zeros(len(of))))
    assert still["folds"] == pytest.approx(0, abs=1e-9) and still["seed"] == pytest.approx(0)
    assert still["clip"] and still["speaker"] is None, "four speakers are too few"
    by_seed = deviations(made_up(4, lambda of, repeat: np.full(len(of), repeat % 2 * 0.8)))
    assert by_seed["seed"] and by_seed["seed"] > 0.01 and by_seed["folds"] == 0
    by_fold = deviations(made_up(4, lambda of, _: (of == 0) * 2.0))
    assert by_fold["seed"] == pytest.approx(0) and by_fold["folds"] and by_fold["folds"] > 0.01
    assert deviations(made_up(2, lambda of, _: np.zeros(len(of))))["folds"] is None


def test_recipes_are_compared_by_the_corrected_resampled_t() -> None:
    board = made_up(4, lambda of, repeat: of * 0.2 + repeat * 0.1)
    (pair,) = board.recipe
    losses = {
        (fold.repeat, fold.fold, row.matcher): fold.log_loss
        for row in board.rows
        for fold in row.by_fold
    }
    parts = np.array(
        [
            np.mean([losses[r, f, pair.a] - losses[r, f, pair.b] for r in (2 * d, 2 * d + 1)])  # type: ignore[operator]
            for d in (0, 1)
            for f in range(3)
        ]
    )
    error = parts.std(ddof=1) * np.sqrt(1 / 6 + 40 / 80)
    reach = stats.t.ppf(0.975, 5) * error
    assert pair.difference == pytest.approx(parts.mean())
    assert (pair.low, pair.high) == pytest.approx((parts.mean() - reach, parts.mean() + reach))
    assert made_up(1, lambda of, _: of * 0.2).recipe == ()


def test_a_recipe_is_seldom_called_different_from_itself() -> None:
    models, same = recipes.rates(recipes.made_up, 30, k=3, repeats=4)
    assert same <= 0.1 < models, "two fits of one recipe are two models"
