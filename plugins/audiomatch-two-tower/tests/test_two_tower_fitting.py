import numpy as np
import pytest
import torch
from audiomatch_two_tower.calibration import calibrate
from audiomatch_two_tower.fitting import _Best
from audiomatch_two_tower.towers import AttentivePooling
from torch import nn


def test_the_best_epoch_comes_back():
    model = nn.Linear(1, 1)
    labels = np.array([0, 1, 1], dtype=np.int8)
    best = _Best(model, labels)
    for epoch, quality in enumerate((0.1, 2.0, -1.0), 1):
        model.weight.data.fill_(epoch)
        best.offer(epoch, quality * np.array([-1.0, 1.0, 1.0]))
    best.restore()
    assert best.epoch == 2
    assert model.weight.item() == 2
    np.testing.assert_array_equal(best.logits, [-2, 2, 2])
    assert best.loss == pytest.approx(np.log1p(np.exp(-2)))


def test_calibration_tempers_what_is_too_sure():
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 1, 4000)
    labels = (generator.random(4000) < 1 / (1 + np.exp(-(logits - 0.5)))).astype(np.int8)
    calibration = calibrate(5 * logits, labels, 0.4)
    assert calibration.slope == pytest.approx(0.2, abs=0.02)
    assert calibration.offset == pytest.approx(-0.5, abs=0.1)


@pytest.mark.parametrize(
    "labels",
    [
        np.linspace(-3, 3, 40) < 0,  # the wrong way round
        np.arange(40) % 2,  # chance
        np.ones(40),  # one class
    ],
)
def test_calibration_gives_the_base_rate_where_logits_say_nothing(labels):
    p = calibrate(np.linspace(-3, 3, 40), labels.astype(np.int8), 0.3)(np.linspace(-3, 3, 40))
    assert p.mean() == pytest.approx(0.3, abs=1e-6)
    assert (np.diff(p) > 0).all()
    assert np.ptp(p) < 0.03


def test_equal_logits_can_be_calibrated():
    calibration = calibrate(np.full(6, 2.5), np.array([0, 1] * 3, dtype=np.int8), 0.5)
    assert calibration(np.array([2.5])) == pytest.approx(0.5)


def test_pooling_gives_weighted_mean_and_deviation():
    torch.manual_seed(0)
    pooling = AttentivePooling(5)
    states = torch.randn(2, 7, 5)
    normed = pooling.norm(states)
    weights = pooling.attention(normed).softmax(1)
    out = pooling(states)
    mean = (weights * normed).sum(1)
    torch.testing.assert_close(out[:, :5], mean)
    square = (weights * normed**2).sum(1) - mean**2
    torch.testing.assert_close(out[:, 5:], (square + 1e-5).sqrt())
