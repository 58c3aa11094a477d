import numpy as np
import pytest
import torch
from audiomatch_two_tower.fitting import _Best
from audiomatch_two_tower.towers import AttentivePooling
from torch import nn

from audiomatch import Run


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


@pytest.mark.slow
@pytest.mark.parametrize("audio", ["cnn", "hubert"])
def test_two_processes_have_the_numbers_of_one(two_tower, corpus, tmp_path, audio):
    """The best epoch is chosen, and the last batch has fewer rows than a whole one."""
    found = []
    for devices in ((), ("cpu", "cpu")):
        matcher = two_tower(audio, dropout=0.0, batch_size=7)
        run = Run(cache=tmp_path, devices=devices, workers=max(1, len(devices)))
        matcher.fit(corpus, run)
        found.append((matcher.predict(corpus.unlabelled(), run), run.notes["best_epoch"]))
    (one, epoch), (two, other) = found
    np.testing.assert_allclose(two, one, atol=1e-4)
    assert one.std() > 1e-3
    assert epoch == other
