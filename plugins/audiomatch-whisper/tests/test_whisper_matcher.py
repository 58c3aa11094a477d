import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torch
from audiomatch_whisper.backbone import texts_of

from audiomatch import Run
from audiomatch.contract import refused_clips
from audiomatch.errors import UserError

FAST = {"epochs": 2, "batch_size": 4, "lr": 1e-3}
QUARTER = {"encoder_layers": "quarter"}


@pytest.mark.parametrize("options", [{}, {"score": "same-position"}, QUARTER])
def test_save_and_load_give_the_same_numbers(fitted, whisper, corpus, run, tmp_path, options):
    matcher = fitted(**options)
    before = matcher.predict(corpus.unlabelled(), run)
    assert before.dtype == np.float64
    assert ((before >= 0) & (before <= 1)).all()
    folder = tmp_path / "saved"
    folder.mkdir()
    matcher.save(folder)
    again = whisper(weights="no-longer/there", **{**FAST, **options})
    again.load(folder)
    np.testing.assert_allclose(again.predict(corpus.unlabelled(), run), before, atol=1e-6)
    assert not list(folder.glob("*.bin"))
    assert refused_clips(again, corpus, run) == [None] * len(corpus)


@pytest.mark.parametrize("options", [{}, QUARTER])
def test_batch_mates_and_row_order_do_not_matter(fitted, corpus, run, options):
    matcher = fitted(**options)
    together = matcher.predict(corpus.unlabelled(), run)
    alone = [matcher.predict(corpus.take([i]).unlabelled(), run)[0] for i in range(len(corpus))]
    order = np.random.default_rng(0).permutation(len(corpus))
    shuffled = matcher.predict(corpus.take(order).unlabelled(), run)
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(together[order], shuffled, atol=1e-5)


@pytest.mark.parametrize("layers", ["all", 0])
def test_same_seed_same_numbers_and_training_moves_them(fitted, corpus, run, layers):
    first = fitted(encoder_layers=layers).predict(corpus.unlabelled(), run)
    second = fitted(encoder_layers=layers).predict(corpus.unlabelled(), run)
    untrained = fitted(encoder_layers=layers, epochs=0).predict(corpus.unlabelled(), run)
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - untrained).max() > 1e-3


def test_a_frozen_encoder_stays_and_the_decoder_moves(fitted, folders):
    from audiomatch_torch import load_tensors

    before = load_tensors(folders["bytes"] / "model.safetensors")
    after = fitted()._model.model.state_dict()
    for name, tensor in before.items():
        frozen = ".encoder." in name or "embed_tokens" in name
        if frozen or name.endswith("layers.0.fc1.weight"):
            assert torch.equal(after[name], tensor) == frozen, name


def test_the_text_matters(fitted, corpus, run):
    matcher = fitted(epochs=0)
    swapped = corpus.with_column("expected_text", corpus.texts[::-1])
    before = matcher.predict(corpus.unlabelled(), run)
    assert np.abs(before - matcher.predict(swapped.unlabelled(), run)).max() > 1e-3


@pytest.mark.parametrize("score", ["complete", "head", "same-position"])
def test_silence_very_short_and_very_long_clips(fitted, corpus, run, tmp_path, score):
    paths = list(corpus["audio"])
    for i, seconds in enumerate([0.01, 1.0, 29.9]):
        paths[i] = str(tmp_path / f"silent{i}.wav")
        soundfile.write(paths[i], np.zeros(int(16000 * seconds)), 16000)
    clips = corpus.with_column("audio", paths)
    p = fitted(score=score, epochs=0).predict(clips.unlabelled(), run)
    assert np.isfinite(p).all()


def test_text_like_a_special_token_or_non_ascii_is_only_text(fitted, corpus, run):
    odd = ["<|endoftext|>", "naïve café", "it\x92s", "日本語", *corpus.texts[4:]]
    matcher = fitted(epochs=0)
    p = matcher.predict(corpus.with_column("expected_text", odd).unlabelled(), run)
    assert np.isfinite(p).all()
    whisper = matcher._model.whisper
    text = texts_of(corpus.with_column("expected_text", odd), whisper).texts[0]
    assert whisper.tokenizer.end not in text.ids


def test_a_text_over_the_decoders_length_names_the_clip(fitted, corpus, run):
    texts = [*corpus.texts[:3], "x" * 500, *corpus.texts[4:]]
    clips = corpus.with_column("expected_text", texts).unlabelled()
    with pytest.raises(UserError, match=r"row 3 .*'c3'.*501 tokens.*holds 443"):
        fitted(epochs=0).predict(clips, run)


def test_a_clip_that_is_not_there_names_the_row(fitted, corpus, run):
    paths = ["/nowhere.wav" if i == 2 else p for i, p in enumerate(corpus["audio"])]
    with pytest.raises(UserError, match=r"row 2 .*'c2'.*no such audio file"):
        fitted(epochs=0).predict(corpus.with_column("audio", paths).unlabelled(), run)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": -1}, "'epochs'"),
        ({"lr": 0}, "'lr'"),
        ({"pad": "10s"}, "'pad'"),
        ({"epoch": 1}, "did you mean 'epochs'"),
        ({"size": "huge"}, "'size'"),
    ],
)
def test_options_are_refused_by_name(whisper, options, message):
    with pytest.raises(UserError, match=message):
        whisper(**options)


def test_what_was_used_is_recorded_and_in_the_fingerprint(fitted, whisper, folders, run):
    matcher = fitted(epochs=0)
    assert run.notes["weights"] == str(folders["bytes"])
    assert matcher.fingerprint() == {"weights_digest": run.notes["weights_digest"]}
    other = whisper(weights=str(folders["multilingual"])).fingerprint()
    assert other != matcher.fingerprint()
    assert whisper(weights="scratch").fingerprint() == {"weights_digest": "scratch"}


def test_learns_which_word_is_which_tone(whisper, copy_of, run, tmp_path, helpers):
    generator = np.random.default_rng(0)
    clips = helpers.make_clips(tmp_path, [0.3] * 64, texts=("cat", "dog"))
    high = generator.integers(0, 2, len(clips))
    time = np.arange(4800) / 16000
    for path, up in zip(clips.paths, high, strict=True):
        soundfile.write(path, 0.5 * np.sin(2 * np.pi * (3000 if up else 300) * time), 16000)
    says_high = np.array([text == "cat" for text in clips.texts])
    clips = clips.with_column("match", (says_high == high).astype(np.int8))
    matcher = whisper(weights=str(copy_of()), epochs=12, lr=3e-3, batch_size=16, warmup=0.1)
    run = dataclasses.replace(run, seed=1)
    matcher.fit(clips.take(np.arange(48)), run)
    held_out = clips.take(np.arange(48, 64))
    p = np.clip(matcher.predict(held_out.unlabelled(), run), 1e-15, 1 - 1e-15)
    y = held_out.labels
    assert -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p)) < 0.35


def test_scratch_runs_with_a_tokenizer_of_its_own(whisper, corpus, run, tmp_path):
    matcher = whisper(weights="scratch", epochs=1)
    matcher.fit(corpus, run)
    before = matcher.predict(corpus.unlabelled(), run)
    assert run.notes["weights"] == "scratch"
    folder = tmp_path / "saved"
    folder.mkdir()
    matcher.save(folder)
    again = whisper(weights="scratch", epochs=1)
    again.load(folder)
    np.testing.assert_allclose(again.predict(corpus.unlabelled(), run), before, atol=1e-6)


def test_offering_the_matcher_imports_no_torch():
    code = (
        "import sys, audiomatch_whisper as w; infos = w.audiomatch_matchers();"
        "assert infos[0].name == 'whisper';"
        "assert {'baseline', 'default'} == set(infos[0].presets);"
        "bad = {'torch', 'pandas', 'numpy', 'transformers'} & set(sys.modules); assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_preset_is_a_valid_config(whisper):
    from audiomatch_whisper import PRESETS

    for preset in PRESETS:
        whisper(preset)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_runs_on_a_gpu_in_bf16(whisper, folders, corpus, tmp_path):
    run = Run(cache=tmp_path, device="cuda")
    matcher = whisper(weights=str(folders["bytes"]), **FAST)
    matcher.fit(corpus, run)
    assert np.isfinite(matcher.predict(corpus.unlabelled(), run)).all()
    assert run.notes["peak_gpu_memory_mb"] > 0


def test_a_text_that_the_decoder_does_not_hold_is_named_before_any_fit(whisper, corpus, run):
    clips = corpus.take([0, 1]).with_column("expected_text", ["moon", "no " * 200])
    refused = refused_clips(whisper(weights="scratch", size="tiny"), clips, run)
    assert refused[0] is None and "600 tokens; this Whisper's decoder holds 44" in str(refused[1])
