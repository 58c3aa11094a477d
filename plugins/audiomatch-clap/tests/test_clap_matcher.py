import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from audiomatch_clap import PRESETS
from audiomatch_clap.config import ClapConfig
from audiomatch_torch.testing import parameters_without_gradient, use_on_pretend_device

from audiomatch.config import build_config
from audiomatch.errors import UserError
from audiomatch.testing import run_checks
from audiomatch.testing.registry import CHECKS


@pytest.fixture
def held_out(corpus):
    return corpus.take(np.arange(5)).unlabelled()


@pytest.mark.parametrize("mode", ["similarity", "head", "fine-tune"])
def test_every_mode_fits_saves_and_restores(
    mode, clap, pretrained, corpus, held_out, run, tmp_path
):
    matcher = clap(weights=str(pretrained), mode=mode, epochs=1)
    matcher.fit(corpus, run)
    p = matcher.predict(held_out, run)
    assert p.dtype == np.float64
    assert ((p > 0) & (p < 1)).all()
    assert run.notes["weights"] == str(pretrained)
    assert len(run.notes["weights_digest"]) == 64
    assert "warning" not in run.notes
    matcher.save(tmp_path)
    again = clap(weights=str(pretrained), mode=mode, epochs=1)
    again.load(tmp_path)
    np.testing.assert_allclose(again.predict(held_out, run), p, atol=1e-6)


def embeddings(matcher, clips, run):
    from audiomatch_clap.embeddings import Pairs, embed
    from audiomatch_torch import Compute

    return embed(Pairs(matcher._model.towers, clips, Compute(run)), "")


def test_what_is_trained_moves_and_what_is_frozen_does_not(clap, pretrained, corpus, run):
    fitted = {}
    for mode in ("similarity", "head", "fine-tune"):
        fitted[mode] = clap(weights=str(pretrained), mode=mode, epochs=1, lr=1e-3, batch_size=4)
        fitted[mode].fit(corpus, run)
    audio = {mode: embeddings(m, corpus, run)[0] for mode, m in fitted.items()}
    text = {mode: embeddings(m, corpus, run)[1] for mode, m in fitted.items()}
    torch.testing.assert_close(audio["head"], audio["similarity"])
    assert (audio["fine-tune"] - audio["similarity"]).abs().max() > 1e-4
    assert (text["fine-tune"] - text["similarity"]).abs().max() > 1e-4


def test_frozen_similarity_is_the_calibrated_cosine(clap, pretrained, corpus, held_out, run):
    matcher = clap(weights=str(pretrained))
    matcher.fit(corpus, run)
    audio, text = embeddings(matcher, held_out, run)
    cosine = (audio * text).sum(-1).numpy().astype(float)
    p = matcher.predict(held_out, run)
    order = np.argsort(cosine)
    assert (np.diff(p[order]) >= 0).all()
    slope = matcher.calibration.slope / 0.07
    logit = np.log(p / (1 - p))
    np.testing.assert_allclose(logit, slope * cosine + matcher.calibration.offset, atol=1e-4)


def test_alone_and_in_a_batch_and_in_any_order(clap, pretrained, corpus, run):
    matcher = clap(weights=str(pretrained), mode="head", epochs=1)
    matcher.fit(corpus, run)
    matcher._frozen = ""  # nothing from the cache
    clips = corpus.unlabelled()
    whole = matcher.predict(clips, run)
    turned = matcher.predict(clips.take(np.arange(len(clips))[::-1]), run)
    np.testing.assert_array_equal(turned[::-1], whole)
    alone = [matcher.predict(clips.take([i]), run)[0] for i in range(len(clips))]
    np.testing.assert_array_equal(alone, whole)


def test_scratch_trains_says_so_and_repeats(clap, corpus, held_out, run):
    predictions = []
    for _ in range(2):
        matcher = clap(epochs=1)
        matcher.fit(corpus, run)
        predictions.append(matcher.predict(held_out, run))
        np.random.seed(1)
        torch.manual_seed(1)
    np.testing.assert_array_equal(*predictions)
    assert run.notes["weights"] == "scratch"
    assert "from scratch" in run.notes["warning"]
    assert "weights=FOLDER" in run.notes["warning"]


def test_the_fingerprint_tells_scratch_from_pretrained(clap, pretrained):
    assert clap().fingerprint() == {"weights_digest": "scratch"}
    assert list(clap(weights=str(pretrained)).fingerprint()) == ["weights_digest"]


def test_frozen_embeddings_are_kept_by_weights(clap, pretrained, helpers, corpus, run, tmp_path):
    def kept():
        return sum(path.stat().st_size for path in run.cache.rglob("*.bin"))

    clap(weights=str(pretrained)).fit(corpus, run)
    first = kept()
    assert first > 0
    matcher = clap(weights=str(pretrained), mode="head", epochs=1)
    matcher.fit(corpus, run)
    assert kept() == first
    other = helpers.make_folder(tmp_path / "other", seed=1)
    clap(weights=str(other)).fit(corpus, run)
    assert kept() > first


def test_a_fused_model_and_a_long_clip(clap, helpers, corpus, held_out, run, tmp_path):
    folder = helpers.make_folder(tmp_path / "fused", enable_fusion=True, fusion_type="aff_2d")
    matcher = clap(weights=str(folder))
    matcher.fit(corpus, run)
    assert np.isfinite(matcher.predict(held_out, run)).all()


@pytest.mark.parametrize("mode", ["similarity", "head", "fine-tune"])
def test_it_works_on_a_device_that_does_not_mix_with_the_cpu(
    mode, clap, pretrained, corpus, tmp_path
):
    (tmp_path / "device").mkdir()
    use_on_pretend_device(
        lambda: clap(weights=str(pretrained), mode=mode, epochs=1), corpus, tmp_path / "device"
    )


@pytest.mark.parametrize("mode", ["head", "fine-tune"])
def test_every_parameter_has_a_gradient_in_bf16(mode, clap, pretrained, corpus, run):
    run.precision = "bf16"
    with parameters_without_gradient() as missing:
        clap(weights=str(pretrained), mode=mode, epochs=1).fit(corpus, run)
    assert [tuple(parameter.shape) for parameter in missing] == []


def test_presets_and_options():
    for options in PRESETS.values():
        build_config(ClapConfig, options, "clap")
    for bad in ({"mode": "cosine"}, {"epochs": 0}, {"lr": -1}, {"calibration": 0.9}, {"size": 1}):
        with pytest.raises(UserError, match=next(iter(bad))):
            build_config(ClapConfig, bad, "clap")


def test_the_entry_point_is_light():
    code = (
        "import sys, audiomatch_clap as c; c.audiomatch_matchers(); "
        "assert not {'torch', 'numpy', 'pandas'} & set(sys.modules), 'heavy'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ})


@pytest.mark.slow
def test_scratch_learns_a_toy(clap, run, tmp_path):
    from sklearn.metrics import log_loss

    from audiomatch.testing.corpus import make_toy

    toy = make_toy(tmp_path / "toy")
    matcher = clap(weights="scratch")
    matcher.fit(toy.train, run)
    assert log_loss(toy.labels, matcher.predict(toy.held_out, run)) < 0.4


def test_it_keeps_to_the_contract(pretrained):
    """Where nothing is learned from random weights, and no process is started for each check."""
    aside = {"learns", "save-load", "stray-files", "cuda"}
    checks = sorted(set(CHECKS) - aside)
    report = run_checks(f"clap@weights={pretrained}@mode=fine-tune@lr=1e-3@epochs=1", only=checks)
    assert [(one.check, one.reason) for one in report.results_of("failed")] == []
