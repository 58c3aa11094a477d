import numpy as np
import pytest
from audiomatch_torch.testing import parameters_without_gradient, use_on_pretend_device

from audiomatch import Run
from audiomatch.errors import UserError
from audiomatch.testing import run_checks
from audiomatch.testing.registry import CHECKS

TOWERS = ("cnn", "whisper", "hubert")


@pytest.fixture
def fitted(two_tower, corpus, run):
    def make(audio="cnn", seed=0, **options):
        matcher = two_tower(audio, **options)
        matcher.fit(corpus, Run(cache=run.cache, seed=seed))
        return matcher

    return make


@pytest.mark.parametrize("audio", TOWERS)
def test_mates_and_order_do_not_matter(fitted, corpus, run, audio):
    matcher = fitted(audio)
    together = matcher.predict(corpus.unlabelled(), run)
    assert together.dtype == np.float64
    assert together.shape == (60,)
    assert together.std() > 1e-6
    order = np.random.default_rng(1).permutation(60)
    mixed = matcher.predict(corpus.take(order).unlabelled(), run)
    np.testing.assert_allclose(mixed, together[order], atol=1e-6)
    for i in (0, 13):
        alone = matcher.predict(corpus.take([i]).unlabelled(), run)
        np.testing.assert_allclose(alone, together[[i]], atol=1e-6)


@pytest.mark.parametrize("audio", TOWERS)
def test_what_is_saved_is_all_that_is_needed(
    two_tower, copy_of, corpus, run, tmp_path, offline, audio
):
    import shutil

    sources = {"text_weights": copy_of("minilm")}
    if audio != "cnn":
        sources["audio_weights"] = copy_of(audio)
    options = {name: str(folder) for name, folder in sources.items()}
    matcher = two_tower(audio, **options)
    matcher.fit(corpus, run)
    expected = matcher.predict(corpus.unlabelled(), run)
    saved = tmp_path / "saved"
    saved.mkdir()
    matcher.save(saved)
    for folder in sources.values():
        shutil.rmtree(folder)
    again = two_tower(audio, **options)
    again.load(saved)
    np.testing.assert_allclose(again.predict(corpus.unlabelled(), run), expected, atol=1e-6)


@pytest.mark.parametrize("options", [{}, {"tune_text": True}])
def test_the_seed_decides_the_numbers(fitted, corpus, run, options):
    first, second, other = (
        fitted(seed=seed, **options).predict(corpus.unlabelled(), run) for seed in (4, 4, 5)
    )
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - other).max() > 1e-4


def test_it_learns_what_lengths_tell_and_the_text_matters(fitted, corpus, run):
    matcher = fitted(epochs=14, batch_size=8, head_lr=2e-3, width=16, hidden=32, dropout=0)
    p = matcher.predict(corpus.unlabelled(), run)
    # Ten clips calibrate it, so what it learnt is drawn to the base rate.
    assert -np.log(np.where(corpus.labels, p, 1 - p)).mean() < 0.55
    swapped = corpus.with_column("expected_text", corpus.texts[1:] + corpus.texts[:1])
    assert np.abs(matcher.predict(swapped.unlabelled(), run) - p).max() > 0.01


@pytest.mark.parametrize(
    ("audio", "options", "moves"),
    [
        ("cnn", {}, {"audio": True, "text": False}),
        ("cnn", {"tune_text": True}, {"audio": True, "text": True}),
        ("whisper", {}, {"audio": False, "text": False}),
        ("whisper", {"tune_audio": True}, {"audio": True, "text": False}),
        ("hubert", {"tune_audio": True, "tune_text": True}, {"audio": True, "text": True}),
    ],
)
def test_only_what_is_tuned_moves(fitted, corpus, run, audio, options, moves):
    from audiomatch_two_tower.text import find_text, read_text_tower

    matcher = fitted(audio, epochs=1, lr=1e-2, **options)
    before = read_text_tower(find_text(matcher.config.text_weights)).state_dict()
    after = matcher._model.text.state_dict()
    assert any(not before[name].equal(after[name]) for name in before) == moves["text"]
    if audio != "cnn":
        from audiomatch_two_tower.speech import find_audio, load_audio_encoder

        audio_before = load_audio_encoder(matcher.config, find_audio(matcher.config)).state_dict()
        audio_after = matcher._model.audio.state_dict()
        same = all(audio_before[name].equal(audio_after[name]) for name in audio_before)
        assert same != moves["audio"]


def test_what_was_loaded_is_noted(two_tower, corpus, run, folders):
    matcher = two_tower(epochs=1)
    matcher.fit(corpus, run)
    assert run.notes["weights"] == f"cnn scratch + {folders['minilm']}"
    assert run.notes["weights_digest"] == matcher.fingerprint()["text_weights_digest"]
    assert matcher.fingerprint()["audio_weights_digest"] == "cnn scratch"
    assert run.notes["best_epoch"] == 1
    whisper = two_tower("whisper", epochs=1)
    whisper.fit(corpus, run)
    assert run.notes["weights"] == f"{folders['whisper']} + {folders['minilm']}"
    assert len(whisper.fingerprint()["audio_weights_digest"]) == 64


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epoch": 3}, r"no option 'epoch'; did you mean 'epochs'"),
        ({"width": 1}, r"option 'width'"),
        ({"audio": "rnn"}, r"option 'audio'"),
        ({"text_weights": "scratch"}, r"option 'text_weights': the text tower has no scratch"),
        ({"tune_audio": "false"}, r"needs audio=transformer"),
        ({"audio_weights": "facebook/hubert-base-ls960"}, r"needs audio=transformer"),
    ],
)
def test_options_are_refused_by_name(two_tower, options, message):
    with pytest.raises(UserError, match=message):
        two_tower(**options)


def test_a_missing_clip_is_named_with_its_row(fitted, corpus, run):
    matcher = fitted(epochs=1)
    paths = [str(path) for path in corpus.paths]
    broken = corpus.with_column("audio", [*paths[:-1], "/nowhere.wav"])
    with pytest.raises(UserError, match=r"row 59 \(id 'c59'\): no such audio file"):
        matcher.predict(broken.unlabelled(), run)


def test_the_entry_point_is_light():
    import subprocess
    import sys

    code = (
        "import sys, audiomatch_two_tower as plugin\n"
        "assert plugin.audiomatch_matchers()[0].name == 'two-tower'\n"
        "assert not {'torch', 'pandas', 'numpy', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_preset_is_a_config():
    from audiomatch_two_tower import PRESETS
    from audiomatch_two_tower.config import TwoTowerConfig

    for options in PRESETS.values():
        TwoTowerConfig(**options)


@pytest.mark.parametrize(
    ("audio", "options"),
    [("cnn", {}), ("whisper", {}), ("hubert", {"tune_audio": True, "tune_text": True})],
)
def test_it_works_on_a_device_that_does_not_mix_with_the_cpu(
    two_tower, corpus, tmp_path, audio, options
):
    few = corpus.take(np.arange(30))
    (tmp_path / "device").mkdir()
    counted = use_on_pretend_device(
        lambda: two_tower(audio, **options, epochs=1), few, tmp_path / "device"
    )
    passes = len({round(seconds, 1) for seconds in np.arange(0, 5, 0.5)}) + len(set(few.texts))
    assert counted.downloads <= 2 * passes


@pytest.mark.parametrize("audio", TOWERS)
def test_every_parameter_has_a_gradient_in_bf16(two_tower, corpus, run, audio):
    run.precision = "bf16"
    options = {} if audio == "cnn" else {"tune_audio": True}
    matcher = two_tower(audio, epochs=1, tune_text=True, **options)
    with parameters_without_gradient() as missing:
        matcher.fit(corpus.take(np.arange(30)), run)
    assert [tuple(parameter.shape) for parameter in missing] == []


def test_it_keeps_to_the_contract(folders):
    """Where nothing is learned from random weights, and no process is started for each check."""
    aside = {"learns", "save-load", "stray-files", "cuda"}
    checks = sorted(set(CHECKS) - aside)
    report = run_checks(
        f"two-tower@text_weights={folders['minilm']}@epochs=1@width=8@hidden=8", only=checks
    )
    assert [(one.check, one.reason) for one in report.results_of("failed")] == []
