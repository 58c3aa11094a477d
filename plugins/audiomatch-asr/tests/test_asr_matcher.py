"""The matcher `asr` by its public face."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from audiomatch_asr.evidence import NAMES, evidence
from audiomatch_asr.families import find, load
from audiomatch_asr.head import Head
from audiomatch_asr.matcher import ASRMatcher
from audiomatch_asr.scoring import evidence_of
from audiomatch_asr.texts import Spelling
from audiomatch_torch import Compute
from audiomatch_torch.testing import use_on_pretend_device

from audiomatch.config import build_config
from audiomatch.errors import UserError
from audiomatch.testing import run_checks
from audiomatch.testing.registry import CHECKS


def make(**options):
    return ASRMatcher(build_config(ASRMatcher.Config, options, "asr"))


def test_a_saved_model_predicts_the_same_without_its_weights(clips, checkpoint, run, tmp_path):
    matcher = make(weights=str(checkpoint()))
    matcher.fit(clips, run)
    assert run.notes["weights_digest"] and "warning" not in run.notes
    p = matcher.predict(clips.unlabelled(), run)
    assert p.dtype == np.float64 and p.shape == (len(clips),) and ((p >= 0) & (p <= 1)).all()
    (tmp_path / "model").mkdir()
    matcher.save(tmp_path / "model")
    again = make(weights=str(tmp_path / "gone"))
    again.load(tmp_path / "model")
    assert again.refuses(clips, run) == [None] * len(clips)
    assert np.array_equal(again.predict(clips.unlabelled(), run), p)


def test_the_evidence_of_a_clip_does_not_depend_on_the_others(clips, checkpoint, run):
    asr = load(find(str(checkpoint())), "en")
    with Compute(run) as compute:
        found = evidence_of(clips, asr, None, compute)
        alone = [evidence_of(clips.take([i]), asr, None, compute)[0] for i in range(len(clips))]
    assert found.shape == (len(clips), len(NAMES)) and np.ptp(found, axis=0).min() > 0
    assert np.abs(found - alone).max() < 1e-5


def test_a_recording_of_several_texts_is_encoded_once(clips, checkpoint, run):
    asr, encoded = load(find(str(checkpoint())), "en"), []
    asr.network.model.encoder.register_forward_hook(
        lambda _, given, __: encoded.append(len(given[0]))
    )
    with Compute(run) as compute:
        evidence_of(clips, asr, None, compute)
    assert sum(encoded) == 12 + 1  # silence


def test_the_evidence_is_of_tokens_words_and_the_end():
    spelling = Spelling(np.array([5, 6, 7]), np.array([0, 1, 1]), "")
    log_p, silent = np.array([-1.0, -2.0, -3.0, -0.5]), np.array([-2.0, -2.0, -7.0, -9.0])
    found = dict(zip(NAMES, evidence(log_p, silent, spelling), strict=True))
    assert found == pytest.approx(
        {
            "mean log p": -2,
            "least log p": -3,
            "log tokens": np.log(3),
            "end log p": -0.5,
            "mean gain": 5 / 3,
            "least word log p": -5,
            "least word gain": 1,
        }
    )


def test_the_head_learns_what_tells_matches(clips):
    rng = np.random.default_rng(0)
    labels = clips.labels
    found = rng.normal(size=(len(clips), len(NAMES)))
    found[:, 4] += 4 * labels
    head = Head()
    head.fit(found, clips, 0)
    logits = head(found)
    assert logits[labels == 1].mean() - logits[labels == 0].mean() > 2
    assert head.slopes.argmax() == 4
    again = Head()
    again.load_state_dict(head.state_dict())
    assert np.array_equal(again(found[3:4]), logits[3:4])


def test_texts_that_cannot_be_scored_are_named_by_row(clips, checkpoint, run):
    matcher = make(weights=str(checkpoint(fallback=False)))
    reasons = matcher.refuses(clips, run)
    bad = [i for i, text in enumerate(clips.texts) if text == "naïve"]
    assert [i for i, why in enumerate(reasons) if why] == bad
    assert reasons[bad[0]] == "the model of asr has no tokens for 'naïve'"
    with pytest.raises(UserError, match=f"row {bad[0] + 2} .*: the model of asr has no tokens"):
        matcher.fit(clips, run)


def test_nothing_is_trained(clips, checkpoint, run):
    folder = checkpoint()
    matcher = make(weights=str(folder))
    matcher.fit(clips, run)
    before = load(find(str(folder)), "en").state_dict()
    assert all(torch.equal(t, before[key]) for key, t in matcher._model.asr.state_dict().items())


def test_options_of_training_are_refused():
    with pytest.raises(UserError, match="epochs"):
        make(epochs=1)


def test_it_works_on_a_device_that_does_not_mix_with_the_cpu(clips, checkpoint, tmp_path):
    folder = str(checkpoint())
    (tmp_path / "device").mkdir()
    counted = use_on_pretend_device(lambda: make(weights=folder), clips, tmp_path / "device")
    assert counted.downloads <= 7 + 1  # a pass each length, and silence


def test_the_entry_point_is_light():
    code = (
        "import sys, audiomatch_asr; audiomatch_asr.audiomatch_matchers();"
        "print([m for m in ('torch', 'numpy', 'pandas', 'transformers') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_it_keeps_to_the_contract(checkpoint):
    """Where nothing is learned from random weights, and no process is started for each check."""
    checks = sorted(set(CHECKS) - {"learns", "save-load", "stray-files", "cuda"})
    report = run_checks(f"asr@weights={checkpoint()}", only=checks)
    assert [(one.check, one.reason) for one in report.results_of("failed")] == []
