"""Wrong texts, calibration, augmentation, and what is frozen."""

import sys
from dataclasses import replace

import audiomatch_torch.matcher
import numpy as np
import pytest
import soundfile
import torch
from audiomatch_torch import Compute
from audiomatch_whisper.net.weights import load_whisper
from audiomatch_whisper.score import pipeline
from audiomatch_whisper.score.pipeline import Pipeline
from audiomatch_whisper.score.scorer import Scorer
from audiomatch_whisper.sound.speech import Speech
from audiomatch_whisper.train.fine_tune import MatchLoss
from hypothesis import example, given
from hypothesis import strategies as st
from torch.nn import functional

from audiomatch import Run
from audiomatch.calibration import Calibration
from audiomatch.errors import UserError
from audiomatch.negatives import OF_SEVERAL, Kind, WrongTexts
from audiomatch.text import letters

FAST = {"epochs": 2, "batch_size": 4, "lr": 1e-3}
WORD = st.text(st.characters(codec="utf-8", categories=("L", "N", "P")), min_size=1, max_size=8)


@given(st.lists(st.lists(WORD, min_size=1, max_size=6), min_size=1, max_size=4), st.integers(0, 99))
@example([["0"], ["0"], ["İA"]], 0)
def test_wrong_texts_never_say_the_text(spoken, seed):
    texts = [" ".join(words) for words in spoken]
    make = WrongTexts(texts)
    generator = np.random.default_rng(seed)
    for text in texts:
        wrong = make.make(text, generator)
        assert wrong.text.strip()
        assert wrong.text.split() != text.split()
        if wrong.word is not None:
            [word] = wrong.text.split()[wrong.word : wrong.word + 1]
            assert word
        if letters(text):
            assert letters(wrong.text) != letters(text) or wrong.kind == Kind.DELETE


def test_every_kind_of_wrong_text_is_made():
    make, generator = WrongTexts(["the dog ran", "a cat"]), np.random.default_rng(0)
    kinds = {make.make("the dog ran", generator).kind for _ in range(200)}
    assert kinds == set(OF_SEVERAL)
    assert {len(make.make("chav", generator).text.split()) for _ in range(50)} >= {1}


@pytest.fixture
def match_loss(whisper, folders, corpus, run):
    def make(negatives):
        config = whisper(weights=str(folders["bytes"]), negatives=negatives).config
        torch.manual_seed(0)
        scorer = Scorer(load_whisper(config.weights), config).eval()
        pipeline = Pipeline(scorer, corpus, config, Compute(run))
        return MatchLoss(pipeline, config), pipeline

    return make


def test_the_loss_of_shared_clips_is_that_of_single_ones(match_loss, corpus):
    own, pipeline = match_loss(0)
    rows = np.argsort(-pipeline.seconds[pipeline.recordings], kind="stable")
    assert len(set(pipeline.seconds)) > 1
    plain = []
    for row in range(len(corpus)):
        cache = pipeline.encode(pipeline.recordings[[row]])
        logit = pipeline.scorer(cache, pipeline.targets_of([row]))
        target = torch.tensor([float(corpus.labels[row])])
        plain.append(float(functional.binary_cross_entropy_with_logits(logit, target).detach()))
    for row in range(len(corpus)):
        [loss] = own.losses(np.array([row])).tolist()
        assert loss == pytest.approx(plain[row], abs=1e-4)
    together = own.losses(rows).tolist()
    assert together == pytest.approx([plain[row] for row in rows], abs=1e-4)
    more, _ = match_loss(3)
    for row in range(len(corpus)):
        [loss] = more.losses(np.array([row])).tolist()
        # Only matches are asked about wrong texts, whose losses are added.
        assert (loss > plain[row] + 1e-6) == bool(corpus.labels[row])


def test_wrong_texts_move_the_training_and_the_same_seed_gives_the_same(fitted, corpus, run):
    none, first, again = (
        fitted(negatives=count).predict(corpus.unlabelled(), run) for count in (0, 2, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - none).max() > 1e-4


@pytest.mark.parametrize("layers", ["all", 1, 0])
def test_a_batch_of_one_clip_is_trained_on(fitted, corpus, run, layers):
    p = fitted(encoder_layers=layers, batch_size=7).predict(corpus.unlabelled(), run)
    assert np.isfinite(p).all()


@pytest.mark.parametrize("score", ["head", "same-position"])
def test_calibration_scales_the_same_ranking(fitted, corpus, run, tmp_path, whisper, score):
    more = corpus.take(np.tile(np.arange(len(corpus)), 4))
    more = more.with_column("id", [f"c{i}" for i in range(len(more))])
    options = {**FAST, "epochs": 0, "calibration": 0.25, "score": score}
    matcher = fitted(**options)
    matcher.fit(more, run)
    p = matcher.predict(corpus.unlabelled(), run)
    assert matcher.calibration != Calibration() and np.isfinite(p).all()
    with matcher.computing(run) as (model, compute):
        logits = matcher.logits(model, corpus, compute)
    assert (np.diff(p[np.argsort(logits)]) >= 0).all()
    folder = tmp_path / "saved"
    folder.mkdir()
    matcher.save(folder)
    again = whisper(**options)
    again.load(folder)
    np.testing.assert_allclose(again.predict(corpus.unlabelled(), run), p, atol=1e-6)


def test_too_few_clips_to_calibrate_are_all_trained_on(fitted, corpus, run):
    one_each = corpus.take([0, 4])
    matcher = fitted(calibration=0.5)
    matcher.fit(one_each, run)
    assert "not calibrated" in run.notes["warning"]
    assert np.isfinite(matcher.predict(corpus.unlabelled(), run)).all()


def test_silence_before_and_after_is_left_out_and_times_are_the_clips_own(
    fitted, corpus, run, tmp_path
):
    speech, _ = soundfile.read(corpus.paths[2], dtype="float32")
    quiet = np.zeros(24_000, dtype=np.float32)
    found = Speech.of(np.concatenate([quiet, speech, quiet]), trim=True)
    assert found.start == pytest.approx(1.25, abs=0.03)
    assert found.seconds == pytest.approx((len(speech) + 8_000) / 16_000, abs=0.04)
    path = tmp_path / "late.wav"
    soundfile.write(path, np.concatenate([quiet, speech, quiet]), 16_000, subtype="FLOAT")
    late = corpus.take([2]).with_column("audio", [str(path)]).unlabelled()
    matcher = fitted(trim=True)
    for word in matcher.explain(late, run)[0].words:
        assert 1.4 < word.start <= word.end < 4.7
    untrimmed = fitted(trim=False)
    assert abs(float(untrimmed.predict(late, run)[0] - matcher.predict(late, run)[0])) > 1e-6


def test_silence_alone_is_kept_long_enough_to_listen_to():
    for seconds in (0.01, 1.0, 30.0):
        found = Speech.of(np.zeros(int(16_000 * seconds), dtype=np.float32), trim=True)
        assert found.seconds > 0 and found.start == 0


def test_the_evidence_of_an_untrained_whisper_is_computed_once_a_clip(
    fitted, corpus, run, monkeypatch
):
    alone = fitted(epochs=0).predict(corpus.unlabelled(), run)
    fitted(epochs=1)  # another matcher that starts from it, in a cache that may be its own

    def again(*_):
        raise AssertionError("computed again")

    monkeypatch.setattr(Pipeline, "features", again)
    np.testing.assert_allclose(fitted(epochs=0).predict(corpus.unlabelled(), run), alone, atol=1e-6)


@pytest.fixture
def encoded(monkeypatch):
    """Count the recordings of which what is frozen was run."""
    counted = []
    real = Pipeline._encode_frozen

    def count(self, recordings, augment=None):
        counted.extend(recordings)
        return real(self, recordings, augment)

    monkeypatch.setattr(Pipeline, "_encode_frozen", count)
    return counted


def test_what_is_frozen_runs_once_a_clip_for_all_fits_and_predictions(
    whisper, folders, helpers, encoded, tmp_path
):
    clips = helpers.make_clips(tmp_path, np.linspace(0.3, 2, 24).tolist())
    run, blind = Run(cache=tmp_path / "cache"), clips.unlabelled()

    def fit(train, cache, layers=0):
        options = {"encoder_layers": layers, "score": "head"}  # for which no answers are planted
        matcher = whisper(weights=str(folders["bytes"]), **options, **FAST)
        matcher.fit(train, Run(cache=cache))
        return matcher

    fit(clips.take(np.arange(16)), run.cache)
    assert len(encoded) == 16
    matcher = fit(clips, run.cache)
    assert len(encoded) == 24
    p = matcher.predict(blind, run)
    (tmp_path / "model").mkdir()
    matcher.save(tmp_path / "model")
    again = whisper(encoder_layers=0, score="head", **FAST)
    again.load(tmp_path / "model")
    np.testing.assert_allclose(again.predict(blind, run), p, atol=1e-6)
    assert len(encoded) == 24
    fit(clips, run.cache, layers=1)  # less is frozen
    assert len(encoded) == 48
    apart = fit(clips, tmp_path / "other").predict(blind, Run(cache=tmp_path / "another"))
    np.testing.assert_allclose(apart, p, atol=1e-6)


def test_states_that_would_take_too_much_are_not_kept(fitted, corpus, run, encoded, monkeypatch):
    kept = fitted(encoder_layers=0).predict(corpus.unlabelled(), run)
    monkeypatch.setattr(pipeline, "MOST_KEPT", 1)
    encoded.clear()
    not_kept = fitted(encoder_layers=0).predict(corpus.unlabelled(), run)
    assert len(encoded) == 2 * len(corpus)  # to train, and to predict
    np.testing.assert_allclose(not_kept, kept, atol=1e-6)


@pytest.mark.parametrize("layers", ["all", "quarter", 0])
def test_bfloat16_where_nothing_is_trained_keeps_batch_mates_apart(
    fitted, corpus, run, layers, monkeypatch
):
    matcher = fitted(encoder_layers=layers, epochs=0)
    scorer = matcher._model
    plain = fitted(encoder_layers=layers, epochs=0, bf16="never")
    exact = plain.predict(corpus.unlabelled(), run)
    assert not plain._model.bf16

    class Native(Compute):
        def __init__(self, run):
            super().__init__(run)
            self.native_bf16 = True

    scorer.place(Native(run))
    assert scorer.bf16
    mels = [torch.randn(2, 80, 100), torch.randn(1, 80, 50)]
    with torch.inference_mode():
        together = scorer.encode_trained(scorer.encode_frozen(mels))
        alone = scorer.encode_trained(scorer.encode_frozen([mels[1]]))
    for keys, own in zip(together.layers, alone.layers, strict=True):
        torch.testing.assert_close(keys[0][-25:], own[0], atol=1e-6, rtol=1e-2)
    assert keys[0].dtype == torch.bfloat16
    monkeypatch.setattr(audiomatch_torch.matcher, "Compute", Native)
    assert np.abs(exact - matcher.predict(corpus.unlabelled(), run)).max() < 0.05


def test_a_precision_that_was_asked_for_is_kept(fitted, corpus, run, tmp_path):
    run.precision = "fp32"
    assert not fitted()._model.bf16


@pytest.mark.parametrize("layers", ["all", 0])
def test_augmentation_moves_the_training_and_the_same_seed_gives_the_same(
    fitted, corpus, run, layers
):
    pytest.importorskip("audiomentations")
    none, first, again = (
        fitted(augment=share, encoder_layers=layers).predict(corpus.unlabelled(), run)
        for share in (0, 1, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - none).max() > 1e-4


@pytest.mark.parametrize(
    ("option", "value", "library"), [("augment", 0.5, "audiomentations"), ("lora", 2, "peft")]
)
def test_before_a_fit_one_line_says_what_an_option_needs(
    whisper, folders, monkeypatch, option, value, library
):
    monkeypatch.setitem(sys.modules, library, None)
    how = f"{option} needs .*{library}: pip install audiomatch-whisper.{option}]"
    with pytest.raises(UserError, match=how):
        whisper(**{"weights": str(folders["bytes"]), option: value}).fingerprint()


@pytest.mark.slow
def test_two_processes_have_the_numbers_of_one(whisper, folders, helpers, tmp_path):
    """With wrong texts made, a head fitted first, and some clips held out to calibrate."""
    clips = helpers.make_clips(tmp_path, np.random.default_rng(0).uniform(0.3, 2, 24))
    clips = clips.with_groups([f"g{i % 6}" for i in range(24)])
    found = {}
    for devices in ((), ("cpu", "cpu")):
        options = {"batch_size": 7, "lr": 1e-3, "negatives": 1, "calibration": 0.3}
        matcher = whisper(weights=str(folders["bytes"]), **options)
        alone = Run(cache=tmp_path / "cache", precision="fp32")
        matcher.fit(clips, replace(alone, devices=devices, workers=max(1, len(devices))))
        matcher.prepare_explain(alone)
        said = matcher.explain(clips.unlabelled(), alone)
        words = [word.probability for one in said for word in one.words]
        found[len(devices)] = matcher.predict(clips.unlabelled(), alone), words
    for one, two in zip(found[0], found[2], strict=True):
        np.testing.assert_allclose(two, one, atol=1e-4)
    assert found[0][0].std() > 1e-3
