"""What `TorchMatcher` does for a matcher that says no more than it must."""

import numpy as np
import pandas as pd
import pytest
import torch
from audiomatch_torch import TorchConfig, TorchMatcher, TrainOptions, binary_cross_entropy, train
from torch import nn

from audiomatch import Run, WeightsError
from audiomatch.calibration import Calibration
from audiomatch.clips import Clips
from audiomatch.folds import inner_split

OPTIONS = TrainOptions(epochs=20, batch_size=8, lr=0.0, head_lr=0.1)


class Lengths(TorchMatcher):
    """P(match) from the length of the text."""

    Config = TorchConfig

    def start(self):
        torch.manual_seed(1)
        return nn.Sequential(nn.Linear(1, 3), nn.Tanh(), nn.Linear(3, 1))

    def inputs(self, clips):
        return torch.tensor([[len(text) / 10] for text in clips.texts])

    def learn(self, model, train_clips, compute):
        rest, kept = map(train_clips.take, inner_split(train_clips, 0.3))
        x = self.inputs(rest).to(compute.device)
        losses = binary_cross_entropy(lambda rows: model(x[rows]).squeeze(1), rest.labels, compute)
        self.first = losses(np.arange(len(rest))).detach()
        train(model, losses, np.ones(len(rest)), OPTIONS, compute, head=model[2].parameters())
        self.calibrate(self.logits(model, kept, compute), kept, train_clips)

    def logits(self, model, clips, compute):
        with torch.no_grad():
            return model(self.inputs(clips).to(compute.device)).squeeze(1).double().numpy()


@pytest.fixture
def clips():
    texts = ["a" * (1 + i % 20) for i in range(80)]
    match = [int(len(text) > 10) ^ (i % 9 == 0) for i, text in enumerate(texts)]
    return Clips(
        pd.DataFrame(
            {"id": map(str, range(80)), "audio": "x.wav", "expected_text": texts, "match": match}
        )
    )


@pytest.fixture
def fitted(clips, tmp_path):
    matcher = Lengths(TorchConfig())
    matcher.fit(clips, Run(cache=tmp_path))
    return matcher


def test_the_head_alone_is_trained_at_its_own_rate(fitted, clips):
    start, rest = fitted.start(), clips.take(inner_split(clips, 0.3)[0])
    wanted = torch.tensor(rest.labels, dtype=torch.float32)
    own = start(fitted.inputs(rest)).squeeze(1).sigmoid()
    torch.testing.assert_close(fitted.first, -torch.log(torch.where(wanted == 1, own, 1 - own)))
    assert torch.equal(fitted._model[0].weight, start[0].weight)
    assert not torch.equal(fitted._model[2].weight, start[2].weight)


def test_it_is_calibrated_and_comes_back_with_its_tensors(fitted, clips, tmp_path):
    run = Run(cache=tmp_path)
    p = fitted.predict(clips.unlabelled(), run)
    assert fitted.calibration != Calibration() and 0 < p.min() < p.max() < 1
    folder = tmp_path / "saved"
    folder.mkdir()
    fitted.save(folder)
    again = Lengths(TorchConfig())
    again.load(folder)
    np.testing.assert_array_equal(again.predict(clips.unlabelled(), run), p)
    (folder / "model.safetensors").write_bytes(b"x")
    with pytest.raises(WeightsError, match=r"model\.safetensors"):
        again.load(folder)
