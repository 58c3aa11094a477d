"""One fit by two processes: the numbers of one, and a clean end where one is lost."""

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
import soundfile
import torch
from audiomatch_torch import (
    TorchConfig,
    TorchMatcher,
    TrainOptions,
    binary_cross_entropy,
    encode_once,
    predict,
    train,
)
from audiomatch_torch.ranks import Ranks, current_ranks
from torch import nn

from audiomatch import Run
from audiomatch.clips import Clips
from audiomatch.running.process import LostWorkerError

# 25 rows of three lengths, in batches of 8: the last batch has a row for one rank only.
ROWS, BATCH = 25, 8


class Config(TorchConfig):
    """What a test has happen.

    Attributes:
        lost: the last rank ends in the third batch.
        stops: rank 0 says so in the fourth batch, and waits to be stopped.
        dropout: of the inputs.
    """

    lost: bool = False
    stops: str = ""
    dropout: float = 0.0


class Net(nn.Module):
    """Knows the rows of even and of odd texts by weights of their own."""

    def __init__(self, dropout):
        super().__init__()
        self.drop = nn.Dropout(dropout)
        self.even, self.odd, self.unused = nn.Linear(3, 1), nn.Linear(3, 1), nn.Linear(3, 1)

    def forward(self, x, lengths):
        own = self.even if lengths[0] % 2 == 0 else self.odd
        return own(self.drop(x)).squeeze(1)


class Shared(TorchMatcher):
    """Trains on kept states, with clipped gradients and averaged weights."""

    Config = Config

    def start(self):
        return Net(self.config.dropout)

    def states(self, clips, compute):
        lengths = np.array([1.0 + len(text) % 3 for text in clips.texts])
        x = torch.tensor([[len(t) / 10, len(t) % 3, i / 30] for i, t in enumerate(clips.texts)])
        kept = encode_once(lambda rows: x[rows].sin(), lengths, compute)
        return kept, lengths

    def learn(self, model, clips, compute):
        kept, lengths = self.states(clips, compute)
        passes = 0

        def logits(rows):
            nonlocal passes
            passes += 1
            last = compute.ranks.rank == compute.ranks.count - 1
            if self.config.lost and passes > 12 and last:
                os.kill(os.getpid(), signal.SIGKILL)
            if last and len(rows) > 2:
                raise RuntimeError("CUDA out of memory. (pretended)")
            stop = self.config.stops if passes > 12 and not compute.ranks.rank else ""
            if stop and not Path(stop).exists():
                Path(stop).touch()
                compute.run.progress.say("stop me")
                time.sleep(60)
            return model(kept.stack(rows), lengths[rows])

        options = TrainOptions(
            epochs=3, batch_size=BATCH, lr=0.05, warmup=0.2, weight_decay=0.1, clip_norm=0.5,
            average_last=0.4,
        )  # fmt: skip
        train(model, binary_cross_entropy(logits, clips.labels, compute), lengths, options, compute)
        found = predict(
            lambda rows: model(kept.stack(rows), lengths[rows]), lengths, compute, shared=True
        )
        compute.run.note(ranks=current_ranks().count, logits=found, after=torch.rand(1).item())

    def logits(self, model, clips, compute):
        kept, lengths = self.states(clips, compute)
        return predict(lambda rows: model(kept.stack(rows), lengths[rows]), lengths, compute)


def workers():
    """Return the processes that were started for a fit and are there."""
    children = psutil.Process().children(recursive=True)
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


@pytest.fixture
def corpus(tmp_path):
    soundfile.write(tmp_path / "silence.wav", np.zeros(1600), 16000)
    texts = ["a" * (1 + i % 9) for i in range(ROWS)]
    frame = {"id": map(str, range(ROWS)), "audio": str(tmp_path / "silence.wav")}
    labels = [int(len(text) > 4) for text in texts]
    return Clips(pd.DataFrame({**frame, "expected_text": texts, "match": labels}))


def fitted(corpus, cache, devices=("cpu", "cpu"), say=None, **options):
    """Fit; returns the weights and the notes."""
    matcher, run = Shared(Config(**options)), Run(cache=cache, devices=devices, workers=2)
    if say is not None:
        run.progress.say = say
    matcher.fit(corpus, run)
    state = matcher._model.state_dict().values()
    return torch.cat([tensor.double().flatten() for tensor in state]), run.notes


def test_two_ranks_have_the_numbers_of_one(corpus, tmp_path):
    """Also where memory runs out in one of them, and where a weight has no gradient in one."""
    one, alone = fitted(corpus, tmp_path, devices=())
    two, notes = fitted(corpus, tmp_path)
    assert torch.allclose(one, two, atol=1e-5)
    assert (alone["ranks"], notes["ranks"]) == (1, 2)
    np.testing.assert_allclose(notes["logits"], alone["logits"], atol=1e-4)
    curves = [found["training_loss"]["train"] for found in (alone, notes)]
    np.testing.assert_allclose(*curves, atol=1e-4)
    assert notes["out_of_memory_halvings"] > 0


def test_a_rank_that_is_lost_ends_the_fit(corpus, tmp_path):
    with pytest.raises(LostWorkerError) as lost:
        fitted(corpus, tmp_path, lost=True)
    said = str(lost.value)
    assert said.startswith("process 2 of 2 of the fit: the worker was killed by signal 9")
    assert "\n" not in said
    assert not workers()


@pytest.mark.slow
def test_an_interrupted_fit_goes_on(corpus, tmp_path):
    """With dropout, whose numbers each rank draws by the step: bit for bit."""
    stop, said = str(tmp_path / "stopped"), []
    options = {"stops": stop, "dropout": 0.3}

    def say(line):
        said.append(line)
        if line == "stop me":
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt) as stopped:
        fitted(corpus, tmp_path / "cache", say=say, **options)
    assert "the training is kept up to step" in stopped.value.__notes__[0]
    assert len(stopped.value.__notes__) == 1
    assert not workers()
    weights, notes = fitted(corpus, tmp_path / "cache", say=say, **options)
    assert notes["resumed_after_step"] > 0
    assert "goes on after step" in said[1]
    whole, others = fitted(corpus, tmp_path / "other", say=say, **options)
    assert torch.equal(weights, whole)
    assert notes["after"] == others["after"]
    assert not any((tmp_path / "cache" / "checkpoints").iterdir())


def test_shares_are_whole_and_of_like_length():
    rows, lengths = np.arange(3, 24), np.random.default_rng(0).integers(1, 9, 40).astype(float)
    ranks = [Ranks(("cpu",) * 4, rank) for rank in range(4)]
    shares = [one.share(rows, lengths) for one in ranks]
    assert sorted(np.concatenate(shares)) == sorted(rows)
    sums = [lengths[share].sum() for share in shares]
    assert max(sums) - min(sums) <= lengths.max()
    alone = replace(ranks[0], devices=())
    assert alone.share(rows, lengths) is rows
    assert alone.gather([1, 2]).tolist() == [[1, 2]]
    assert alone.gather_objects("own") == ["own"]
