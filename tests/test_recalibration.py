"""Calibration as a stage after any matcher: curves, the choice, and where it is applied."""

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
from numpy.typing import NDArray
from scipy.special import expit

import audiomatch
from audiomatch import Run
from audiomatch.clips import Clips
from audiomatch.explanation import Explanation, TokenEvidence, WordEvidence
from audiomatch.lexicon import with_nonword
from audiomatch.recalibration import calibrated, fit_calibration
from audiomatch.records import CalibrationRecord, CurveRecord
from audiomatch.scoring import log_loss
from tests.toys import Toy, leave_out_slow_floors, toy_plugin

WORDS = ["dog", "ran", "over", "hill", "cat", "tree", "house", "river", "stone", "bird"]


def world(n: int = 360, groups: int = 60, seed: int = 0) -> tuple[NDArray[np.float64], Clips]:
    """Return the logits of calibrated probabilities, and clips of which a quarter is nonwords."""
    rng = np.random.default_rng(seed)
    g = rng.integers(groups, size=n)
    z = rng.normal(0, 2, n)
    frame = pd.DataFrame(
        {
            "id": [f"c{i}" for i in range(n)],
            "audio": "x.wav",
            "expected_text": [
                ("zoonimap " if i % 4 == 0 else "the ") + " ".join(WORDS[int(d)] for d in str(i))
                for i in g
            ],
            "match": (rng.random(n) < expit(z)).astype(int),
            "task": np.where(g % 4 == 0, "nonword_repetition", "sentence_repetition"),
        }
    )
    return z, Clips(frame).with_groups([str(i) for i in g])


def test_good_probabilities_stay_as_they_are_and_bad_ones_do_not() -> None:
    z, clips = world(600, 100)
    good = fit_calibration(expit(z), clips, 3)
    assert (good.clips, good.folds) == (600, 3) and good.unchanged > 0.2
    assert np.abs(calibrated(expit(z), clips, good) - expit(z)).max() < 0.08
    sure = fit_calibration(expit(3 * z), clips, 3)
    assert sure.method == "platt" and sure.high < 0 and sure.unchanged < 0.01
    others, unseen = world(2000, 300, seed=1)
    after = log_loss(unseen.labels, calibrated(expit(3 * others), unseen, sure))
    assert after == pytest.approx(log_loss(unseen.labels, expit(others)), abs=0.01)


def test_what_does_not_help_on_inner_folds_is_not_kept() -> None:
    z, clips = world(3000, 500, seed=3)
    shift = np.where(np.arange(3000) % 2, 1e-3, -1e-3)
    found = [fit_calibration(expit(z + k * shift), clips, 3) for k in range(3)]
    assert all((one.method == "none") == (one.difference >= 0) for one in found)
    left = next(one for one in found if one.method == "none")
    assert (left.curves, left.by) == ((), "")
    np.testing.assert_array_equal(calibrated(expit(z), clips, left), expit(z))


def test_too_few_groups_leave_a_matcher_alone() -> None:
    z, clips = world(groups=9)
    found = fit_calibration(expit(3 * z), clips, 3)
    assert (found.method, found.low) == ("none", None) and found.difference < 0


@pytest.mark.parametrize("task", [True, False])
def test_nonwords_of_which_a_matcher_knows_nothing_have_a_curve_of_their_own(task: bool) -> None:
    z, clips = world(800, 80)
    nonword = with_nonword(clips.texts)
    assert 0.15 < nonword.mean() < 0.35
    rng = np.random.default_rng(1)
    p = expit(np.where(nonword, rng.normal(0, 2, 800), z))
    if not task:
        clips = Clips(clips.frame.drop(columns="task")).with_groups(clips.groups)
    found = fit_calibration(p, clips, 3)
    assert found.by == ("nonword+task" if task else "nonword")
    after = calibrated(p, clips, found)
    assert np.abs(after[nonword] - 0.5).max() < 0.3 < np.ptp(after[~nonword])
    swapped = clips.take(np.flatnonzero(nonword)).unlabelled()
    np.testing.assert_allclose(calibrated(p[nonword], swapped, found), after[nonword])


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 99), scale=st.floats(-2, 4), groups=st.integers(2, 40))
def test_a_calibration_keeps_the_order_within_a_part(seed: int, scale: float, groups: int) -> None:
    z, clips = world(120, groups, seed)
    found = fit_calibration(expit(scale * z), clips, 3)
    p = np.linspace(0, 1, 120)
    made = calibrated(p, clips, found)
    assert np.isfinite(made).all() and made.min() >= 0 and made.max() <= 1
    for nonword in (True, False):
        own = with_nonword(clips.texts) == nonword
        assert (np.diff(made[own]) >= -1e-12).all()


def test_a_calibration_does_not_know_the_order_of_clips() -> None:
    z, clips = world()
    order = np.random.default_rng(0).permutation(len(z))
    one = fit_calibration(expit(3 * z), clips, 3)
    other = fit_calibration(expit(3 * z[order]), clips.take(order), 3)
    p = calibrated(expit(z), clips, one)
    np.testing.assert_allclose(calibrated(expit(z), clips, other), p, atol=0.03)


def test_a_part_that_was_not_learned_from_has_the_curve_of_all() -> None:
    curves = (
        CurveRecord(slope=1, offset=1),
        CurveRecord(column="nonword", part="nonword", slope=0, offset=-2),
        CurveRecord(column="task", part="blending", slope=0, offset=-1),
    )
    made = CalibrationRecord(method="platt", by="nonword+task", curves=curves)
    texts = ["dog", "dog", "zoonimap", "zoonimap"]
    frame = {"id": list("abcd"), "audio": "x.wav", "expected_text": texts, "match": 1}
    clips = Clips(pd.DataFrame(frame | {"task": ["blending", "deletion"] * 2}))
    found = calibrated(np.full(4, 0.5), clips, made)
    assert found.tolist() == pytest.approx(expit([0, 1, -2, -1]).tolist())


def test_a_nonword_is_a_word_that_english_does_not_have() -> None:
    texts = ["The dog's 3 bones!", "say mogateen", "I don’t know", "zoonimap"]
    assert with_nonword(texts).tolist() == [False, True, False, True]


def _evidence(word: str) -> WordEvidence:
    return WordEvidence(word, 0.5, -1.0, 0.0, 0.0, (TokenEvidence(word, -1.0, 0.0, 0.0),), "", "")


class Biased(Toy):
    """Knows the answer from the clip's length, and says of all that they match."""

    stops_at: dict[int, BaseException] = {}

    def fit(self, train: Clips, run: Run) -> None:
        super().fit(train, run)
        if error := type(self).stops_at.pop(type(self).fits, None):
            raise error

    def predict(self, clips: Clips, run: Run) -> Any:
        per_letter = clips.seconds / [len(text) for text in clips.texts]
        return expit(3 + 24 * (per_letter - 0.075))

    def explain(self, clips: Clips, run: Run) -> list[Explanation]:
        return [
            Explanation(
                id=name,
                text=text,
                p_match=p,
                heard="",
                words=tuple(_evidence(word) for word in text.split()),
            )
            for name, text, p in zip(clips.ids, clips.texts, self.predict(clips, run), strict=True)
        ]


@pytest.fixture
def bench(
    plugin: Callable, command: Callable, corpus: Path, tmp_path: Path, monkeypatch: Any
) -> Callable[..., tuple[int, str, str]]:
    leave_out_slow_floors(plugin(toy=toy_plugin(Biased)), monkeypatch)
    monkeypatch.setattr(Biased, "fits", 0)
    monkeypatch.setattr(Biased, "stops_at", {})
    made = ("bench", corpus, "--matchers", "toy", "--folds", 2, "--group", "none")
    made += ("--allow", "folds-by-row", "--out", tmp_path / "run")
    return lambda *more: command(*made, *more)


def test_bench_shows_calibrated_beside_raw(
    bench: Callable, command: Callable, tmp_path: Path
) -> None:
    code, out, said = bench("--calibrate")
    assert code == 0 and Biased.fits == 2 + 2 * 3
    assert "log loss → calibrated" in out and "2/2" in out and "inner fold 3/3" in said
    rows = json.loads((tmp_path / "run" / "leaderboard.json").read_text())["rows"]
    row = next(row for row in rows if row["matcher"] == "toy")
    found = row["calibrated"]
    assert (found["kept_folds"], found["folds"]) == (2, 2)
    assert found["log_loss"] < row["log_loss"] - 0.2
    assert found["difference"] == pytest.approx(found["log_loss"] - row["log_loss"])
    assert found["difference_high"] < 0 and found["low"] < found["log_loss"] < found["high"]
    assert all(row["calibrated"] is None for row in rows if row["matcher"] != "toy")
    table = pd.read_parquet(tmp_path / "run" / "predictions.parquet")
    own = table[table["matcher"] == "toy"]
    assert log_loss(own["match"], own["p_calibrated"]) == pytest.approx(found["log_loss"])
    assert table[table["matcher"] != "toy"]["p_calibrated"].isna().all()
    again = json.loads(command("leaderboard", tmp_path / "run", "--json")[1])["rows"]
    assert again == rows
    assert "log loss → calibrated" in command("leaderboard", tmp_path / "run")[1]
    asked = command("operating", tmp_path / "run", "--calibrated", "--json")
    points = json.loads(asked[1])["points"]
    wrong = next(one for one in points if one["kind"] == "cost" and one["target"] == 0.5)
    rounded = own["p_calibrated"] >= 0.5
    assert wrong["value"] == pytest.approx((rounded != own["match"]).mean())
    code, _, said = command("operating", tmp_path / "run", "base-rate", "--calibrated")
    assert code == 2 and "has no calibrated probabilities of base-rate" in said
    page = (tmp_path / "run" / "report.html").read_text()
    assert '<h2 id="calibration">' in page and f"<td>{found['log_loss']:.3f}</td>" in page


def test_inner_folds_are_kept_and_replayed_as_others_are(bench: Callable, tmp_path: Path) -> None:
    assert bench()[0] == 0 and Biased.fits == 2
    Biased.stops_at = {5: KeyboardInterrupt()}
    code, _, said = bench("--calibrate")
    assert code == 130 and Biased.fits == 5 and "what is finished is kept" in said
    assert bench("--calibrate")[0] == 0 and Biased.fits == 9, "two of six were there"
    first = (tmp_path / "run" / "leaderboard.json").read_text()
    assert bench("--calibrate")[0] == 0 and Biased.fits == 9
    second = (tmp_path / "run" / "leaderboard.json").read_text()
    one, other = (
        [row["calibrated"] for row in json.loads(text)["rows"]] for text in (first, second)
    )
    assert one == other and any(one)


def test_an_inner_fold_that_fails_leaves_its_fold_raw(bench: Callable, tmp_path: Path) -> None:
    Biased.stops_at = {4: ValueError("no")}
    code, _, said = bench("--calibrate")
    assert code == 1 and "toy fold 1/2: not calibrated: inner fold 2/3 failed" in said
    assert "inner fold 2/3: failed: ValueError: no" in said
    why = "inner fold 2/3 failed: ValueError: no"
    results = json.loads((tmp_path / "run" / "run.json").read_text())["results"]
    of_toy = [one["uncalibrated"] for one in results if one["matcher"] == "toy"]
    assert of_toy == [why, None]
    rows = json.loads((tmp_path / "run" / "leaderboard.json").read_text())["rows"]
    (row,) = [row for row in rows if row["matcher"] == "toy"]
    assert row["warnings"] == [f"fold 1: not calibrated: {why}"]
    table = pd.read_parquet(tmp_path / "run" / "predictions.parquet")
    own = table[table["matcher"] == "toy"]
    assert (own["p_calibrated"].isna() == (own["fold"] == 0)).all()
    rows = json.loads((tmp_path / "run" / "leaderboard.json").read_text())["rows"]
    assert next(row for row in rows if row["matcher"] == "toy")["calibrated"]["folds"] == 1


@pytest.mark.usefixtures("bench")
def test_a_model_keeps_its_calibration(command: Callable, corpus: Path, tmp_path: Path) -> None:
    folder, asked = tmp_path / "model", ("--calibrate", "--target-precision", "0.9")
    assert command("fit", "toy", corpus, "--out", folder, "--group", "none", *asked)[0] == 0
    assert Biased.fits == 3 + 1, "thresholds and calibration share the folds"
    card = json.loads((folder / "audiomatch.json").read_text())
    assert card["calibration"]["method"] != "none" and card["calibration"]["clips"] == 36
    assert card["thresholds"]["match"] < 0.9, "thresholds are of calibrated probabilities"
    model = audiomatch.load(folder)
    p_match = model.predict(corpus)
    labels = pd.read_csv(corpus)["match"].to_numpy()
    assert p_match[labels == 1].min() > 0.55 and p_match[labels == 0].max() < 0.45
    assert [one.p_match for one in model.explain(corpus)] == pytest.approx(p_match.tolist())
    scored = json.loads(command("evaluate", folder, corpus, "--json")[1])["rows"][0]
    assert scored["log_loss"] == pytest.approx(log_loss(labels, p_match))
    model.save(tmp_path / "again")
    np.testing.assert_array_equal(audiomatch.load(tmp_path / "again").predict(corpus), p_match)
    plain = audiomatch.fit("toy", corpus, group="none")
    assert plain.card.calibration is None and plain.predict(corpus).min() > 0.9
