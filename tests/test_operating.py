"""Operating points: thresholds are judged on clips that did not choose them."""

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

from audiomatch.decisions import least_threshold, threshold_missing, two_thresholds
from audiomatch.records import OperatingPoint
from audiomatch.scoring import recall_at_precision
from audiomatch.scoring.clip_table import ClipTable
from benchmarks import operating as simulated
from tests.toys import leave_out_slow_floors, toy_plugin

properties = settings(deadline=None, max_examples=25)


def clips(n: int = 400, groups: int = 40, folds: int = 3, seed: int = 0) -> pd.DataFrame:
    """Return the predictions of one matcher, whose probabilities are calibrated."""
    rng = np.random.default_rng(seed)
    logits, g = rng.normal(0, 2, n), rng.integers(groups, size=n)
    return pd.DataFrame(
        {
            "id": [f"c{i}" for i in range(n)],
            "matcher": "m",
            "fold": g % folds,
            "group": g.astype(str),
            "match": (rng.random(n) < 1 / (1 + np.exp(-logits))).astype(int),
            "p_match": np.round(1 / (1 + np.exp(-logits)), 2),
            "task": np.where(g % 2, "deletion", "blending"),
        }
    )


def points(table: pd.DataFrame, *columns: str) -> list[OperatingPoint]:
    return ClipTable(table, "group").operating("m", columns)


def one(found: list[OperatingPoint], kind: str, target: float, part: str = "") -> OperatingPoint:
    return next(p for p in found if (p.kind, p.target, p.part) == (kind, target, part))


@properties
@given(seed=st.integers(0, 99), folds=st.integers(2, 5))
def test_thresholds_of_a_fold_are_those_of_the_others(seed: int, folds: int) -> None:
    table = clips(200, folds=folds, seed=seed)
    found, said = points(table), {}
    for precision in (0.9, 0.95):
        taken, low_high = np.zeros(200, bool), np.zeros((200, 2))
        y, p = table["match"].to_numpy(), table["p_match"].to_numpy()
        for fold in range(folds):
            own = (table["fold"] == fold).to_numpy()
            at = least_threshold(p[~own], y[~own] == 1, precision)
            taken[own] = at is not None and p[own] >= at
            low_high[own] = two_thresholds(p[~own], y[~own], precision)
        recall = one(found, "precision", precision)
        assert recall.value == pytest.approx(taken[y == 1].mean())
        assert recall.reached == (pytest.approx(y[taken].mean()) if taken.any() else None)
        between = (p > low_high[:, 0]) & (p < low_high[:, 1])
        assert one(found, "abstain", precision).value == pytest.approx(between.mean())
        said[precision] = recall.value
    assert said[0.9] >= said[0.95]
    assert one(found, "cost", 0.5).value == pytest.approx(((p >= 0.5) != y).mean())
    assert one(found, "cost", 0.05).value == pytest.approx(
        np.where(p >= 0.95, 1 - y, np.where(p <= 0.05, y, 0.05)).mean()
    )


@properties
@given(seed=st.integers(0, 99))
def test_ranks_alone_decide_what_thresholds_find(seed: int) -> None:
    table = clips(200, seed=seed)
    moved = points(table.assign(p_match=table["p_match"] ** 3 / 2))
    for before, after in zip(points(table), moved, strict=True):
        if before.kind in ("precision", "misses"):
            same = {"value", "low", "high", "reached", "n", "groups"}
            assert before.model_dump(include=same) == pytest.approx(after.model_dump(include=same))


@properties
@given(
    rows=st.lists(st.tuples(st.integers(0, 10), st.booleans()), min_size=1, max_size=40),
    share=st.sampled_from([0.0, 0.05, 0.1, 0.5]),
)
def test_a_threshold_misses_no_more_than_asked(rows: list[tuple[int, bool]], share: float) -> None:
    p, y = np.array([x for x, _ in rows]) / 10, np.array([match for _, match in rows])
    at = threshold_missing(p, y, share)
    if at is None:
        assert not y.any()
        return
    assert (p[y] < at).mean() <= share + 1e-9
    higher = p[y][p[y] > at]
    assert not higher.size or (p[y] < higher.min()).mean() > share
    assert threshold_missing(p[:0], y[:0], share) is least_threshold(p[:0], y[:0], 0.9) is None


def test_the_wanted_precision_is_hardly_reached_on_other_clips() -> None:
    reached = [one(points(clips(150, seed=s)), "precision", 0.95).reached for s in range(40)]
    known = [share for share in reached if share is not None]
    assert 0.8 < np.mean(known) < 0.95, "a threshold is somewhat too good on the clips it is of"
    table = clips(150)
    own = recall_at_precision(table["match"], table["p_match"])
    assert own is not None and own > 0


def test_gaps_between_parts_have_intervals_that_hold_together() -> None:
    table = clips(2000)
    hard = (table["task"] == "deletion") & (np.arange(2000) % 12 == 0)
    table.loc[hard, "p_match"] = 1 - table.loc[hard, "p_match"]
    found = points(table, "task")
    for kind, target in (("precision", 0.9), ("misses", 0.05), ("abstain", 0.9), ("cost", 0.5)):
        whole = one(found, kind, target)
        low, high = (one(found, kind, target, part) for part in ("blending", "deletion"))
        assert low.n + high.n == whole.n and whole.gap is None
        assert low.gap == pytest.approx(-high.gap) == pytest.approx(low.value - high.value)
        assert low.gap_low == pytest.approx(-high.gap_high)
        mean = (low.n * low.value + high.n * high.value) / whole.n
        assert mean == pytest.approx(whole.value) and low.threshold == whole.threshold
    wrong = one(found, "cost", 0.5, "deletion")
    assert wrong.gap_low > 0 and wrong.low < wrong.value < wrong.high


def test_few_groups_have_no_interval_and_one_fold_is_judged_by_fifths() -> None:
    assert all(p.low is p.gap_low is None for p in points(clips(300, groups=9), "task"))
    single = clips(400, folds=1)
    found = one(points(single), "precision", 0.9)
    assert found.low < found.value < found.high
    own = least_threshold(single["p_match"].to_numpy(), single["match"].to_numpy() == 1, 0.9)
    assert found.threshold == own
    assert found.value != pytest.approx(recall_at_precision(single["match"], single["p_match"]))
    alone = points(single.assign(group="one"))
    assert one(alone, "precision", 0.9).value == 0 and len(alone) == 11


@pytest.fixture
def run(
    plugin: Callable, command: Callable, corpus: Path, tmp_path: Path, monkeypatch: Any
) -> Path:
    leave_out_slow_floors(plugin(toy=toy_plugin()), monkeypatch)
    made = ("--matchers", "toy", "--folds", 2, "--group", "none", "--allow", "folds-by-row")
    assert command("bench", corpus, *made, "--out", tmp_path / "run")[0] == 0
    return tmp_path / "run"


def test_the_points_of_a_run(run: Path, command: Callable) -> None:
    code, out, _ = command("operating", run)
    assert code == 0 and "recall at 95 % precision" in out and "wrong at 0.5" in out
    assert out.startswith("toy")
    code, out, _ = command("operating", run, "toy", "--by", "speaker")
    assert code == 0 and "of the gap" in out and "99 %" not in out
    asked = json.loads(command("operating", run, "toy", "--by", "task", "--json")[1])
    rows = json.loads((run / "leaderboard.json").read_text())["rows"]
    kept = next(row for row in rows if row["matcher"] == "toy")["operating"]
    assert asked["points"] == [one for one in kept if one["column"] in ("", "task")]
    assert asked["matcher"] == "toy" and {one["part"] for one in asked["points"]} > {""}
    for args, says in (("toi", "no row 'toi'"), ("--by=x", "--by x: the predictions of")):
        code, out, said = command("operating", run, args)
        assert (code, out) == (2, "") and says in said and len(said.splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["equal", "unequal"])
def test_intervals_hold_the_truth_about_as_often_as_they_say(kind: str) -> None:
    held = simulated.coverage(kind, 20, trials=60, population=5_000)
    assert all(share > 0.8 for share in held.values()), held  # 93 % less four standard errors
