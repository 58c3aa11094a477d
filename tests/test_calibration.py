"""The one calibration of logits: what holds for any clips, and what it makes of luck."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import expit, logit

from audiomatch.calibration import Calibration

Sample = tuple[NDArray[np.float64], NDArray[np.int8]]


@st.composite
def samples(draw: st.DrawFn) -> Sample:
    count = draw(st.integers(2, 60))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    labels = (generator.random(count) < draw(st.floats(0.05, 0.95))).astype(np.int8)
    signal = draw(st.sampled_from([-2.0, 0.0, 0.5, 3.0, 20.0]))
    return signal * labels + generator.normal(size=count), labels


def log_loss(p: NDArray[np.float64], labels: NDArray[np.int8]) -> float:
    return float(-np.mean(np.where(labels == 1, np.log(p), np.log1p(-p))))


@settings(deadline=None, max_examples=60)
@given(samples(), st.integers(0, 3), st.floats(0.1, 0.9))
def test_probabilities_rise_with_the_logits_and_stay_inside(
    sample: Sample, choices: int, rate: float
) -> None:
    made = Calibration.fit(*sample, rate=rate, choices=choices)
    p = made(np.sort(sample[0]))
    assert made.slope > 0 and (np.diff(p) >= 0).all() and p[0] >= 0 and p[-1] <= 1
    far = made(np.array([-1e6, 1e6]))
    assert np.isfinite(far).all() and far[0] >= 0 and far[1] <= 1


@settings(deadline=None, max_examples=60)
@given(samples(), st.integers(0, 3))
def test_it_is_no_worse_than_the_base_rate(sample: Sample, choices: int) -> None:
    labels = sample[1]
    base = (labels.sum() + 0.5) / (len(labels) + 1)
    p = Calibration.fit(*sample, choices=choices)(sample[0])
    assert log_loss(p, labels) <= log_loss(np.full(len(labels), base), labels) + 0.02


@settings(deadline=None, max_examples=60)
@given(samples(), st.floats(0.01, 100), st.floats(-50, 50))
def test_scaled_and_moved_logits_have_the_same_probabilities(
    sample: Sample, scale: float, shift: float
) -> None:
    logits, labels = sample
    moved = scale * logits + shift
    wanted = Calibration.fit(logits, labels, rate=0.3)(logits)
    np.testing.assert_allclose(Calibration.fit(moved, labels, rate=0.3)(moved), wanted, atol=1e-4)


@settings(deadline=None, max_examples=30)
@given(samples(), st.randoms(use_true_random=False))
def test_the_order_of_clips_does_not_matter(sample: Sample, random: object) -> None:
    order = np.random.default_rng(len(sample[0])).permutation(len(sample[0]))
    one = Calibration.fit(*sample, groups=np.arange(len(order)) // 3)
    other = Calibration.fit(
        sample[0][order], sample[1][order], groups=(np.arange(len(order)) // 3)[order]
    )
    np.testing.assert_allclose([one.slope, one.offset], [other.slope, other.offset], rtol=1e-4)


def test_logits_of_a_known_model_are_found() -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(1, 2, 4000)
    labels = (generator.random(4000) < expit(0.7 * logits - 0.4)).astype(np.int8)
    made = Calibration.fit(logits, labels)
    assert made.slope == pytest.approx(0.7, abs=0.05)
    assert made.offset == pytest.approx(-0.4, abs=0.1)
    assert made(logits).mean() == pytest.approx(labels.mean(), abs=1e-3)


@pytest.mark.parametrize("kind", ["noise", "turned round", "one class", "equal", "one clip"])
def test_where_nothing_is_told_the_rate_remains(kind: str) -> None:
    generator = np.random.default_rng(1)
    labels = np.arange(200) % 2
    logits = np.sin(np.arange(200.0) * 1.7)
    if kind == "turned round":
        logits = -labels + 0.1 * logits
    elif kind == "one class":
        labels = np.ones(200, dtype=int)
    elif kind == "equal":
        logits = np.full(200, 3.0) + 1e-9 * generator.normal(size=200)
    elif kind == "one clip":
        logits, labels = logits[:1], labels[:1]
    made = Calibration.fit(logits, labels, rate=0.3)
    assert made(logits).mean() == pytest.approx(0.3, abs=1e-3)
    assert np.ptp(made(logits)) < 0.05


def test_choices_and_groups_make_it_more_careful() -> None:
    generator = np.random.default_rng(3)
    texts = np.repeat(np.arange(20), 15)
    labels = (generator.random(300) < np.where(texts < 4, 0.9, 0.45)).astype(np.int8)
    logits = np.where(texts < 4, 1.0, 0.0) + 0.3 * generator.normal(size=300)
    alone = Calibration.fit(logits, labels).slope
    assert Calibration.fit(logits, labels, choices=2).slope < alone
    assert Calibration.fit(logits, labels, groups=texts).slope < alone
    assert Calibration.fit(logits, labels, groups=np.arange(300)).slope == pytest.approx(alone)
    assert Calibration.fit(logits, labels, groups=texts.astype(str)).slope == pytest.approx(
        Calibration.fit(logits, labels, groups=texts).slope
    )


@pytest.mark.parametrize("count", [1, 2])
def test_groups_that_agree_cost_nothing(count: int) -> None:
    """Where labels are told apart the prior pulls on all clips alike, whatever their group."""
    logits = np.array([1.28, 0.2, 1.31, -0.2, 1.12, 1.28, 0.2, 1.31, -0.2, 1.12])
    labels = np.array([1, 0, 1, 0, 1, 1, 0, 1, 0, 1])
    alone = Calibration.fit(logits, labels)
    made = Calibration.fit(logits, labels, groups=np.arange(10) // 5 % count)
    assert made.slope == pytest.approx(alone.slope, rel=0.02)
    assert log_loss(made(logits), labels) < 0.35


def test_it_does_not_overfit_few_clips_without_signal() -> None:
    losses = []
    for seed in range(50):
        generator = np.random.default_rng(seed)
        labels = (generator.random(40) < 0.4).astype(np.int8)
        made = Calibration.fit(generator.normal(size=40), labels, rate=0.4, choices=1)
        more = (generator.random(1000) < 0.4).astype(np.int8)
        losses.append(log_loss(made(generator.normal(size=1000)), more) - log_loss(
            np.full(1000, 0.4), more
        ))  # fmt: skip
    assert np.mean(losses) < 0.005


def test_a_probability_has_a_logit() -> None:
    made = Calibration(1.25, -0.5)
    assert made(np.array([made.logit_of(0.3)])).tolist() == pytest.approx([0.3])
    alike = Calibration.fit(np.zeros(4), np.array([0, 1, 1, 1]))
    assert alike.slope == 0 and alike.logit_of(0.3) == 0


def test_json_in_and_out() -> None:
    made = Calibration(1.25, -0.5)
    assert Calibration.from_json(json.loads(json.dumps(made.to_json()))) == made
    assert Calibration()(np.array([0.0, logit(0.9)])).tolist() == pytest.approx([0.5, 0.9])
    for bad in ({}, {"slope": 1.0}, {"slope": "x", "offset": 0}, {"slope": -1, "offset": 0}, []):
        with pytest.raises(ValueError):
            Calibration.from_json(bad)  # type: ignore[arg-type]


def test_a_slope_may_be_bounded() -> None:
    generator = np.random.default_rng(0)
    labels = np.arange(300) % 2
    logits = 0.2 * (labels - 0.5 + 0.3 * generator.normal(size=300))
    assert Calibration.fit(logits, labels).slope > 5
    assert 0.9 < Calibration.fit(logits, labels, most=1.0).slope <= 1
