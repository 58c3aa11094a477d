"""What every torch matcher must pass, on a tiny random Whisper."""

import dataclasses

import pytest
from audiomatch_torch.testing import parameters_without_gradient, use_on_pretend_device

from audiomatch.testing import run_checks
from audiomatch.testing.registry import CHECKS

FAST = {"epochs": 1, "batch_size": 4, "lr": 1e-3, "explain_clips": 4}
COMPLETE = {"score": "complete"}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"encoder_layers": "all", "embeddings": "trained"},
        {"encoder_layers": 0, "negatives": 2},
        {"score": "same-position"},
        {"score": "complete"},
    ],
)
def test_every_parameter_has_a_gradient_in_bf16(options, whisper, folders, corpus, run):
    matcher = whisper(weights=str(folders["bytes"]), **{**FAST, **options})
    with parameters_without_gradient() as missing:
        matcher.fit(corpus, dataclasses.replace(run, precision="bf16"))
    assert [tuple(parameter.shape) for parameter in missing] == []


@pytest.mark.parametrize(
    "options", [{}, {"encoder_layers": 0, "negatives": 2}, {"encoder_layers": 0, **COMPLETE}]
)
def test_it_works_on_a_device_that_does_not_mix_with_the_cpu(
    options, whisper, folders, corpus, tmp_path
):
    folder = str(folders["bytes"])
    (tmp_path / "device").mkdir()
    use_on_pretend_device(
        lambda: whisper(weights=folder, **{**FAST, **options}), corpus, tmp_path / "device"
    )


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
