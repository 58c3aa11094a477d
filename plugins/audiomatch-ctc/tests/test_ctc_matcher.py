"""The matchers `ctc` and `hubert-ctc` by their public face."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from audiomatch_ctc import PHONES, PRESETS, audiomatch_matchers
from audiomatch_ctc.matcher import CTCMatcher, HubertCTCMatcher
from audiomatch_ctc.phones import ARPABET
from audiomatch_ctc.scorer import ScoredClips
from audiomatch_torch.testing import parameters_without_gradient, use_on_pretend_device

from audiomatch import Run
from audiomatch.config import build_config
from audiomatch.errors import UserError
from audiomatch.model import CARD, card_of, load_model, save_model
from audiomatch.plugins import registry
from audiomatch.spec import parse_matcher
from audiomatch.testing import run_checks
from audiomatch.testing.registry import CHECKS

SCRATCH = {"weights": "scratch", "scratch_width": 16, "scratch_layers": 1}
TINY = {**SCRATCH, "ctc_epochs": 1, "epochs": 1, "batch_size": 8}


PUBLISHED = ("hubert", "wav2vec2", "wavlm", "wav2vec2-bert", "wav2vec2-phones", "parakeet")


def make(options):
    return CTCMatcher(build_config(CTCMatcher.Config, options, "ctc"))


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


@pytest.mark.parametrize("kind", PUBLISHED)
def test_a_published_checkpoint_is_tuned_saved_and_loaded(kind, clips, checkpoint, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    matcher, run = fitted(clips, tmp_path, weights=str(checkpoint(kind)), lr=1e-3)
    assert run.notes["weights_digest"]
    assert "words_left_out" not in run.notes and "warning" not in run.notes
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


@pytest.mark.parametrize(
    ("code", "hub_id"),
    [
        (CTCMatcher, "facebook/wav2vec2-lv-60-espeak-cv-ft"),
        (HubertCTCMatcher, "facebook/hubert-large-ls960-ft"),
    ],
)
def test_without_a_hub_the_notes_say_scratch_and_why(clips, tmp_path, monkeypatch, code, hub_id):
    monkeypatch.setattr("audiomatch_torch.hub.unreachable", lambda hub_id: "no hub in a test")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    run = Run(cache=tmp_path / "cache")
    options = {**TINY, "weights": "auto", "epochs": 0, "ctc_epochs": 0}
    code(build_config(code.Config, options, "ctc")).fit(clips, run)
    assert run.notes["weights"] == "scratch"
    assert hub_id in run.notes["warning"]
    _, run = fitted(clips, tmp_path, epochs=0, ctc_epochs=0)
    assert run.notes["weights"] == "scratch" and "warning" not in run.notes


def test_a_text_without_known_characters_is_as_likely_as_any(clips, tmp_path):
    matcher, run = fitted(clips, tmp_path)
    strange = clips.with_column("expected_text", ["青い鳥"] * len(clips)).unlabelled()
    p = matcher.predict(strange, run)
    assert np.ptp(p) == 0 and 0.05 < p[0] < 0.95
    assert run.notes["texts_left_out"] == len(clips)
    assert run.notes["words_left_out"] == ["青い鳥"]
    assert (
        run.notes["warning"] == "has no units for 1 words of the texts and leaves them out: 青い鳥"
    )


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


@pytest.mark.parametrize("kind", ["wavlm", "wav2vec2-bert", "scratch"])
def test_a_head_of_phones_learns_from_the_pronunciations_of_matches(
    kind, clips, checkpoint, tmp_path
):
    weights = kind if kind == "scratch" else str(checkpoint(kind, ctc=False))
    matcher, run = fitted(
        clips, tmp_path, weights=weights, units="phones", ctc_epochs=None, lr=0.01
    )
    untrained, _ = fitted(clips, tmp_path, weights=weights, units="phones", ctc_epochs=0, epochs=0)
    losses = []
    for one in (untrained, matcher):
        with one.computing(run) as (model, compute):
            own = ScoredClips(model, clips.take(clips.labels == 1), None, compute)
            losses.append(own(np.arange(1))[1].item())  # nats a phone
    assert losses[1] < losses[0] - 1
    assert set(model.model.units.names.values()) == set(ARPABET)
    (tmp_path / "model").mkdir()
    matcher.save(tmp_path / "model")
    again = make({"units": "phones", "weights": "gone"})
    again.load(tmp_path / "model")
    p = matcher.predict(clips.unlabelled(), run)
    assert again.predict(clips.unlabelled(), run) == pytest.approx(p, abs=1e-6)


def test_a_model_folder_of_the_release_before_loads(clips, checkpoint, tmp_path):
    """As `hubert-ctc` of audiomatch-hubert saved it: no option `units`."""
    spec = parse_matcher(f"hubert-ctc@weights={checkpoint('hubert')}@epochs=0")
    matcher, run = registry().create(spec), Run(cache=tmp_path / "cache")
    matcher.fit(clips, run)
    folder = tmp_path / "model"
    save_model(folder, matcher, card_of(spec, registry().offer(spec), matcher))
    card = json.loads((folder / CARD).read_text())
    del card["config"]["units"]
    card["plugin"]["distribution"] = "audiomatch-hubert"
    (folder / CARD).write_text(json.dumps(card))
    loaded, _ = load_model(folder, registry())
    p = matcher.predict(clips.unlabelled(), run)
    assert loaded.predict(clips.unlabelled(), run) == pytest.approx(p, abs=1e-6)


def test_presets_are_options():
    for preset in (*PRESETS.values(), *PHONES.values()):
        make(preset)


def test_the_entry_point_is_light():
    code = (
        "import sys, audiomatch_ctc; audiomatch_ctc.audiomatch_matchers();"
        "print([m for m in ('torch', 'numpy', 'pandas', 'transformers') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
    assert [info.name for info in audiomatch_matchers()] == ["ctc", "hubert-ctc"]


@pytest.mark.parametrize("options", [{"freeze": "encoder"}, {"freeze": "features", "lr": 1e-3}])
def test_it_works_on_a_device_that_does_not_mix_with_the_cpu(options, clips, checkpoint, tmp_path):
    folder = str(checkpoint("wavlm"))
    (tmp_path / "device").mkdir()
    counted = use_on_pretend_device(
        lambda: make({**TINY, "weights": folder, **options}), clips, tmp_path / "device"
    )
    lengths = 3  # a pass each: 0.5, 1 and 1.5 s
    assert counted.downloads <= 3 * lengths  # log probabilities and frames


@pytest.mark.parametrize("kind", PUBLISHED)
def test_every_parameter_has_a_gradient_in_bf16(kind, clips, checkpoint, tmp_path):
    matcher = make({**TINY, "weights": str(checkpoint(kind)), "freeze": "nothing"})
    with parameters_without_gradient() as missing:
        matcher.fit(clips, Run(cache=tmp_path / "cache", precision="bf16"))
    assert [tuple(parameter.shape) for parameter in missing] == []


def test_it_keeps_to_the_contract(checkpoint):
    """Where nothing is learned from random weights, and no process is started for each check."""
    aside = {"learns", "save-load", "stray-files", "cuda"}
    checks = sorted(set(CHECKS) - aside)
    report = run_checks(f"ctc@weights={checkpoint('wavlm')}@epochs=1@lr=1e-3", only=checks)
    assert [(one.check, one.reason) for one in report.results_of("failed")] == []
