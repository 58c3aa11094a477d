"""What every torch matcher must pass, on a tiny random Whisper."""

import dataclasses

import numpy as np
import pytest
from audiomatch_torch.testing import (
    PRETEND,
    parameters_without_gradient,
    pretend_device,
    use_on_pretend_device,
)

from audiomatch import Run
from audiomatch.testing import run_checks
from audiomatch.testing.registry import CHECKS

FAST = {"epochs": 1, "batch_size": 4, "lr": 1e-3, "explain_clips": 4}


@pytest.mark.parametrize(
    "options",
    [
        {"encoder_layers": "quarter"},
        {"encoder_layers": "all", "embeddings": "trained"},
        {"negatives": 2},
        {"score": "same-position"},
        {"score": "complete"},
        {"score": "complete", "expect": "contains"},
    ],
)
def test_every_parameter_has_a_gradient_in_bf16(options, whisper, folders, corpus, run):
    matcher = whisper(weights=str(folders["bytes"]), **{**FAST, **options})
    with parameters_without_gradient() as missing:
        matcher.fit(corpus, dataclasses.replace(run, precision="bf16"))
    assert [tuple(parameter.shape) for parameter in missing] == []


@pytest.mark.parametrize("options", [{"encoder_layers": "quarter"}, {"negatives": 2}, {}])
def test_it_works_on_a_device_that_does_not_mix_with_the_cpu(
    options, whisper, folders, corpus, tmp_path
):
    folder = str(folders["bytes"])
    few = corpus.take(np.array([0, 3, 4, 6]))  # both labels: operations take long there
    (tmp_path / "device").mkdir()
    use_on_pretend_device(
        lambda: whisper(weights=folder, **{**FAST, **options}), few, tmp_path / "device"
    )


@pytest.mark.parametrize(
    ("options", "launches"),
    [({"encoder_layers": "quarter"}, 1150), ({}, 950), ({"negatives": 2}, 1050)],
)
def test_a_training_step_does_not_wait_for_a_gpu(
    options, launches, whisper, folders, helpers, tmp_path
):
    """Counted by what further epochs of four steps cost, the optimiser's too."""
    clips = helpers.make_clips(tmp_path, np.linspace(0.5, 4, 16).tolist())
    found = []
    with pretend_device() as device:
        for epochs in (1, 1, 3):  # the first fit fills the cache
            matcher = whisper(weights=str(folders["bytes"]), epochs=epochs, batch_size=4, **options)
            before = device.launches, device.uploads, device.synchronisations
            matcher.fit(clips, Run(cache=tmp_path / "cache", device=PRETEND))
            after = device.launches, device.uploads, device.synchronisations
            found.append(np.subtract(after, before))
    a_step = (found[2] - found[1]) / 8
    assert a_step[0] <= launches
    assert a_step[1] <= 6  # states, texts, pairs of both, the same in silence, labels
    assert a_step[2] <= 0.5  # the loss and the texts in silence, once an epoch


def test_it_keeps_to_the_contract(folders):
    """Where nothing is learned from random weights, and no process is started for each check."""
    aside = {"learns", "save-load", "stray-files", "cuda"}
    checks = sorted(set(CHECKS) - aside)
    spec = f"whisper@weights={folders['bytes']}@epochs=1@lr=1e-3@explain_clips=4"
    report = run_checks(spec, only=checks)
    assert [(one.check, one.reason) for one in report.results_of("failed")] == []


def test_a_retried_batch_draws_the_same_wrong_texts(whisper, folders, corpus, run, monkeypatch):
    """Memory runs out once in the second epoch: the model is the one of a run where it did not."""
    from audiomatch_whisper.train.fine_tune import MatchLoss

    run = dataclasses.replace(run, precision="fp32")  # on every CPU

    def fitted():
        matcher = whisper(weights=str(folders["bytes"]), **{**FAST, "epochs": 2}, negatives=2)
        matcher.fit(corpus, run)
        return matcher.predict(corpus.unlabelled(), run)

    wanted = fitted()
    calls = 0

    def losses(self, rows):
        nonlocal calls
        calls += 1
        found = real(self, rows)
        if calls == 3:
            raise RuntimeError("CUDA out of memory.")
        return found

    real = MatchLoss.losses
    monkeypatch.setattr(MatchLoss, "losses", losses)
    found = fitted()
    assert run.notes["out_of_memory_halvings"] == 1
    assert abs(found - wanted).max() < 1e-4
