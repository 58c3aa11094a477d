"""A fit that is killed and started again has the numbers of one that nobody disturbed."""

import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from audiomatch_torch import (
    TorchConfig,
    TorchMatcher,
    TrainOptions,
    binary_cross_entropy,
    checkpoints,
    train,
)
from torch import nn

from audiomatch import Run
from audiomatch.clips import Clips
from audiomatch.progress import QuietProgress

FIRST = TrainOptions(epochs=2, batch_size=8, lr=0.01, warmup=0.5, capacity=4)
SECOND = TrainOptions(
    epochs=3, batch_size=8, lr=0.02, head_lr=0.05, clip_norm=1.0, average_last=0.5, capacity=4
)
# 24 clips: 3 batches of 2 pieces an epoch, 6 batches in the first loop and 9 in the second.


class Best(nn.Module):
    """What the epochs remember: the least weight seen."""

    def __init__(self):
        super().__init__()
        self.register_buffer("least", torch.tensor(torch.inf))


class Twice(TorchMatcher):
    """Trains in two loops, with dropout, batch statistics and random numbers of all generators.

    Attributes:
        dies: called before each pass with its number.
    """

    Config = TorchConfig
    dies = staticmethod(lambda number: None)

    def start(self):
        return nn.Sequential(
            nn.Linear(2, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Dropout(0.3), nn.Linear(6, 1)
        )

    def inputs(self, clips):
        return torch.tensor([[len(text) / 10, len(text) % 3] for text in clips.texts])

    def learn(self, model, clips, compute):
        x, passes, best = self.inputs(clips), 0, Best()

        def logits(rows):
            nonlocal passes
            passes += 1
            out = model(x[rows] + float(np.random.rand())).squeeze(1)
            self.dies(passes)
            return out

        def remember(epoch):
            weight = model[0].weight.detach().abs().sum()
            best.least.copy_(torch.minimum(best.least, weight))

        losses = binary_cross_entropy(logits, clips.labels, compute)
        train(model, losses, np.ones(len(clips)), FIRST, compute, label="first")
        train(
            model, losses, np.ones(len(clips)), SECOND, compute,
            head=model[4].parameters(), after_epoch=remember, memory=best, label="second",
        )  # fmt: skip
        with torch.no_grad():
            model[4].bias += best.least + torch.rand(1)

    def logits(self, model, clips, compute):
        with torch.no_grad():
            return model(self.inputs(clips)).squeeze(1).double().numpy()


def clips(cache):
    file = cache.parent / "silence.wav"
    if not file.exists():
        soundfile.write(file, np.zeros(1600), 16000)
    texts = ["a" * (1 + i % 9) for i in range(24)]
    frame = {"id": map(str, range(24)), "audio": str(file), "expected_text": texts}
    return Clips(pd.DataFrame({**frame, "match": [int(len(text) > 4) for text in texts]}))


def fitted(cache, said=None):
    """Return the weights of a fit, and its notes."""
    matcher, run = Twice(TorchConfig()), Run(cache=cache)
    if said is not None:
        run.progress.say = said.append
    matcher.fit(clips(cache), run)
    return torch.cat([t.double().flatten() for t in matcher._model.state_dict().values()]), run


@pytest.fixture
def often(monkeypatch):
    monkeypatch.setattr(checkpoints, "EVERY", 0.0)


def interrupted(cache, monkeypatch, at):
    def dies(number):
        if number == at:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt) as caught:
        patch.setattr(Twice, "dies", staticmethod(dies))
        fitted(cache)
    return " ".join(getattr(caught.value, "__notes__", []))


KILLED = """
import json, os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import test_torch_checkpoints as own
place = Path(sys.argv[2])

def dying(at):
    own.Twice.dies = staticmethod(lambda number: number == at and os.kill(os.getpid(), 9))
    own.fitted(place / str(at))

own.checkpoints.EVERY = 0.0
whole, _ = own.fitted(place / "whole")
for at in map(int, sys.argv[3:]):
    child = os.fork()
    if not child:
        dying(at)
    assert os.waitpid(child, 0)[1] == 9
    seen, said = [], []
    own.Twice.dies = staticmethod(seen.append)
    weights, run = own.fitted(place / str(at), said)
    left = list((place / str(at) / own.checkpoints.FOLDER).iterdir())
    print(json.dumps([at, own.torch.equal(weights, whole), len(seen), len(left), said]))
"""


def test_a_fit_killed_anywhere_goes_on_to_the_numbers_of_one_undisturbed(tmp_path):
    """By SIGKILL in the second epoch, and in two epochs of the second loop."""
    points = (8, 13, 20)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, Path(__file__).parent, tmp_path, *map(str, points)],
        check=True,
        stdout=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    for at, line in zip(points, done.stdout.splitlines(), strict=True):
        of, equal, passes, left, said = json.loads(line)
        assert (of, equal, left) == (at, True, 0)
        assert passes == 30 - (at - 1) // 2 * 2  # the batch at hand is done again
        label, step = ("first", (at - 1) // 2) if at <= 12 else ("second", (at - 13) // 2)
        assert f"{label}: goes on after step {step} of" in said[0]


@pytest.mark.parametrize("at", [8, 21])
def test_an_interrupt_keeps_the_batch_at_hand_and_says_so(tmp_path, monkeypatch, at):
    whole, run = fitted(tmp_path / "whole")
    told = interrupted(tmp_path, monkeypatch, at)
    assert (
        told
        == {
            8: "the training is kept up to step 3 of 6 (epoch 2 of 2)",
            21: "the training is kept up to step 4 of 9 (epoch 2 of 3)",
        }[at]
    )
    again, other = fitted(tmp_path)
    assert torch.equal(whole, again)
    assert other.notes["training_loss"] == run.notes["training_loss"]


class StopsAt(QuietProgress):
    """Interrupts while it shows that so many steps are done."""

    def __init__(self, step):
        self.left = step

    @contextmanager
    def task(self, description, total, unit="clips"):
        yield self

    def advance(self, amount=1, note=""):
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("step", "kept"),
    [(2, "step 2 of 6 (epoch 1 of 2)"), (3, "step 3 of 6 (epoch 1 of 2)"),
     (6, "step 6 of 6 (epoch 2 of 2)"), (15, "step 9 of 9 (epoch 3 of 3)")],
)  # fmt: skip
def test_an_interrupt_between_two_batches_keeps_all_that_are_done(tmp_path, step, kept):
    whole, _ = fitted(tmp_path / "whole")
    run = Run(cache=tmp_path, progress=StopsAt(step))
    with pytest.raises(KeyboardInterrupt) as caught:
        Twice(TorchConfig()).fit(clips(tmp_path), run)
    assert caught.value.__notes__ == [f"the training is kept up to {kept}"]
    assert torch.equal(whole, fitted(tmp_path)[0])


@pytest.mark.parametrize("damage", ["facts", "tensors", "gone"])
def test_a_damaged_checkpoint_is_named_and_not_used(tmp_path, monkeypatch, often, damage):
    whole, _ = fitted(tmp_path / "whole")
    interrupted(tmp_path, monkeypatch, 8)
    (facts,) = tmp_path.glob("checkpoints/*/*.json")
    (tensors,) = tmp_path.glob("checkpoints/*/*.safetensors")
    if damage == "facts":
        facts.write_text(facts.read_text().replace('"batches": 0', '"batches": 1'))
    elif damage == "tensors":
        content = bytearray(tensors.read_bytes())
        content[-1] ^= 1
        tensors.write_bytes(content)
    else:
        tensors.unlink()
    said = []
    again, _ = fitted(tmp_path, said)
    assert "a damaged checkpoint; it is not used" in said[0]
    assert str(facts) in said[0]
    assert torch.equal(whole, again)


def test_another_fit_takes_no_checkpoint_of_this_one(tmp_path, monkeypatch):
    interrupted(tmp_path, monkeypatch, 8)
    seen = []
    monkeypatch.setattr(Twice, "dies", staticmethod(seen.append))
    Twice(TorchConfig(weight_decay=0.5)).fit(clips(tmp_path), Run(cache=tmp_path))
    Twice(TorchConfig()).fit(clips(tmp_path), Run(cache=tmp_path, seed=1))
    Twice(TorchConfig()).fit(clips(tmp_path).take(np.arange(24)[::-1]), Run(cache=tmp_path))
    assert len(seen) == 3 * 30
    assert len(list((tmp_path / checkpoints.FOLDER).iterdir())) == 1


def test_checkpoints_of_stopped_fits_are_swept_when_old_or_too_many(tmp_path, monkeypatch):
    old, large = (tmp_path / checkpoints.FOLDER / name for name in ("old", "large"))
    for folder, days in ((old, 31), (large, 1)):
        folder.mkdir(parents=True)
        (folder / "1.safetensors").write_bytes(b"x" * 1000)
        for file in (folder / "1.safetensors", folder):
            os.utime(file, (file.stat().st_mtime - days * 86_400,) * 2)
    shutil.copytree(large, large.with_name("in use"))
    os.utime(large.with_name("in use"))
    interrupted(tmp_path, monkeypatch, 8)
    assert not old.exists()
    assert large.exists()
    os.utime(large.with_name("in use"))
    monkeypatch.setattr(checkpoints, "MOST_BYTES", 500)
    interrupted(tmp_path, monkeypatch, 20)
    assert not large.exists()
    assert large.with_name("in use").exists()


def test_a_cache_that_cannot_be_written_is_said_once_and_the_fit_goes_on(tmp_path, often):
    (tmp_path / "file").write_text("")
    said = []
    again, _ = fitted(tmp_path / "file", said)
    assert torch.equal(again, fitted(tmp_path)[0])
    assert len(said) == 1
    assert "the training goes on without checkpoints" in said[0]


def test_a_checkpoint_is_plain_data(tmp_path, monkeypatch):
    interrupted(tmp_path, monkeypatch, 20)
    kinds = {file.suffix for file in tmp_path.glob("checkpoints/*/*")}
    assert kinds == {".json", ".safetensors"}
    (file,) = tmp_path.glob("checkpoints/*/*.json")
    assert json.loads(file.read_text())["facts"]["steps"] == 3
