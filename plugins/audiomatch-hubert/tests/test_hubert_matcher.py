"""The matcher `hubert-ctc` by its public face."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from audiomatch_hubert import PRESETS, audiomatch_matchers
from audiomatch_hubert.matcher import HubertCTCMatcher
from audiomatch_torch.testing import parameters_without_gradient, use_on_pretend_device

from audiomatch import Run
from audiomatch.config import build_config
from audiomatch.errors import UserError
from audiomatch.testing import run_checks
from audiomatch.testing.registry import CHECKS

SCRATCH = {"weights": "scratch", "scratch_width": 16, "scratch_layers": 1}
TINY = {**SCRATCH, "ctc_epochs": 1, "epochs": 1, "batch_size": 8}


def make(options):
    return HubertCTCMatcher(build_config(HubertCTCMatcher.Config, options, "hubert-ctc"))


def fitted(clips, tmp_path, seed=0, **options):
    matcher, run = make({**TINY, **options}), Run(cache=tmp_path / "cache", seed=seed)
    matcher.fit(clips, run)
    return matcher, run


def test_predictions_are_probabilities_and_repeat(clips, tmp_path):
    (one, run), (two, _) = (fitted(clips, tmp_path) for _ in range(2))
    p = one.predict(clips.unlabelled(), run)
    assert p.dtype == np.float64 and p.shape == (len(clips),)
    assert ((p >= 0) & (p <= 1)).all() and np.ptp(p) > 0
    assert np.array_equal(p, two.predict(clips.unlabelled(), run))
    other, run = fitted(clips, tmp_path, seed=1)
    assert not np.array_equal(p, other.predict(clips.unlabelled(), run))


@pytest.mark.parametrize("kind", ["hubert", "wav2vec2", "wavlm", "wav2vec2-bert"])
def test_a_published_checkpoint_is_tuned_saved_and_loaded(kind, clips, checkpoint, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    matcher, run = fitted(clips, tmp_path, weights=str(checkpoint(kind)), lr=1e-3)
    assert run.notes["weights_digest"] and "warning" not in run.notes
    p = matcher.predict(clips.unlabelled(), run)
    matcher.save(folder)
    again = make({"weights": str(tmp_path / "gone")})
    again.load(folder)
    assert again.predict(clips.unlabelled(), run) == pytest.approx(p, abs=1e-6)
    turned = np.random.default_rng(0).permutation(len(clips))
    assert matcher.predict(clips.take(turned).unlabelled(), run) == pytest.approx(
        p[turned], abs=1e-6
    )
    alone = [matcher.predict(clips.take([i]).unlabelled(), run)[0] for i in range(4)]
    assert alone == pytest.approx(p[:4], abs=1e-6)


@pytest.mark.parametrize("objective", ["both", "binary", "ctc"])
def test_training_changes_what_it_should(objective, clips, tmp_path):
    trained, run = fitted(clips, tmp_path, objective=objective)
    untrained, _ = fitted(clips, tmp_path, objective=objective, ctc_epochs=0, epochs=0)
    weights = [m._model.ctc.lm_head.weight.detach().numpy() for m in (trained, untrained)]
    assert not np.array_equal(*weights)
    assert np.isfinite(trained.predict(clips.unlabelled(), run)).all()


def test_frozen_encoder_keeps_its_weights(clips, checkpoint, tmp_path):
    folder = str(checkpoint("hubert"))
    options = {"weights": folder, "lr": 1e-2}
    before, _ = fitted(clips, tmp_path, **options, epochs=0, ctc_epochs=0)
    for freeze, encoder, features in (
        ("encoder", True, True),
        ("features", False, True),
        ("nothing", False, False),
    ):
        after, _ = fitted(clips, tmp_path, **options, freeze=freeze)
        pairs = [
            (key.startswith("hubert.feature_extractor"), key.startswith("hubert."), same)
            for (key, a), b in zip(
                before._model.ctc.state_dict().items(),
                after._model.ctc.state_dict().values(),
                strict=True,
            )
            for same in [bool((a == b).all())]
        ]
        assert all(same for is_feature, _, same in pairs if is_feature) == features
        assert all(same for is_feature, inside, same in pairs if inside and not is_feature) == (
            encoder
        )
        assert not all(same for _, inside, same in pairs if not inside)


def test_without_a_hub_the_notes_say_scratch_and_why(clips, tmp_path, monkeypatch):
    monkeypatch.setattr("audiomatch_torch.hub.unreachable", lambda hub_id: "no hub in a test")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    _, run = fitted(clips, tmp_path, weights="auto", epochs=0, ctc_epochs=0)
    assert run.notes["weights"] == "scratch"
    assert "facebook/hubert-large-ls960-ft" in run.notes["warning"]
    _, run = fitted(clips, tmp_path, epochs=0, ctc_epochs=0)
    assert run.notes["weights"] == "scratch" and "warning" not in run.notes


def test_a_text_without_known_characters_is_as_likely_as_any(clips, tmp_path):
    matcher, run = fitted(clips, tmp_path)
    strange = clips.with_column("expected_text", ["青い鳥"] * len(clips)).unlabelled()
    p = matcher.predict(strange, run)
    assert np.ptp(p) == 0 and 0.05 < p[0] < 0.95
    assert run.notes["texts_without_known_characters"] == len(clips)


def test_texts_that_cannot_be_read_alone_give_the_base_rate(clips, tmp_path):
    unread = clips.with_column("expected_text", ["13 21"] * len(clips))
    matcher, run = fitted(unread, tmp_path)
    rate = clips.labels.mean()
    assert matcher.predict(unread.unlabelled(), run) == pytest.approx(rate, abs=0.02)


def test_a_missing_clip_is_named_by_its_row(clips, tmp_path):
    clips.paths[3].unlink()
    with pytest.raises(UserError, match="row 5"):
        fitted(clips, tmp_path)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"epoch": 1}, "did you mean 'epochs'"),
        ({"objective": "mmi"}, "objective"),
        ({"ctc_weight": -1}, "ctc_weight"),
        ({"calibration": 0.9}, "calibration"),
        ({"scratch_width": 100}, "scratch_width"),
        ({"lr": 0}, "lr"),
    ],
)
def test_bad_options_are_refused_by_name(options, line):
    with pytest.raises(UserError, match=line):
        make(options)


def test_presets_are_options():
    for preset in PRESETS.values():
        make(preset)


def test_the_entry_point_is_light():
    code = (
        "import sys, audiomatch_hubert; audiomatch_hubert.audiomatch_matchers();"
        "print([m for m in ('torch', 'numpy', 'pandas', 'transformers') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
    assert [info.name for info in audiomatch_matchers()] == ["hubert-ctc"]


@pytest.mark.parametrize("options", [{"freeze": "encoder"}, {"freeze": "features", "lr": 1e-3}])
def test_it_works_on_a_device_that_does_not_mix_with_the_cpu(options, clips, checkpoint, tmp_path):
    folder = str(checkpoint("wavlm"))
    (tmp_path / "device").mkdir()
    counted = use_on_pretend_device(
        lambda: make({**TINY, "weights": folder, **options}), clips, tmp_path / "device"
    )
    lengths = 3  # a pass each: 0.5, 1 and 1.5 s
    assert counted.downloads <= 3 * lengths  # log probabilities and frames


@pytest.mark.parametrize("kind", ["hubert", "wav2vec2", "wavlm", "wav2vec2-bert"])
def test_every_parameter_has_a_gradient_in_bf16(kind, clips, checkpoint, tmp_path):
    matcher = make({**TINY, "weights": str(checkpoint(kind)), "freeze": "nothing"})
    with parameters_without_gradient() as missing:
        matcher.fit(clips, Run(cache=tmp_path / "cache", precision="bf16"))
    assert [tuple(parameter.shape) for parameter in missing] == []


def test_it_keeps_to_the_contract(checkpoint):
    """Where nothing is learned from random weights, and no process is started for each check."""
    aside = {"learns", "save-load", "stray-files", "cuda"}
    checks = sorted(set(CHECKS) - aside)
    report = run_checks(f"hubert-ctc@weights={checkpoint('wavlm')}@epochs=1@lr=1e-3", only=checks)
    assert [(one.check, one.reason) for one in report.results_of("failed")] == []
