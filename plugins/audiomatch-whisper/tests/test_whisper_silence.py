"""What the decoder expects of a text where nobody speaks."""

from dataclasses import replace

import numpy as np
import pytest
from audiomatch_whisper.score import scorer, silence
from audiomatch_whisper.train.fine_tune import MatchLoss

FAST = {"epochs": 1, "batch_size": 4, "lr": 1e-3}


class ReadError(Exception):
    """A text was read in silence."""


@pytest.fixture
def no_silence(monkeypatch):
    """Let nothing be read in silence from here on."""

    def stop():
        def raises(*_):
            raise ReadError

        monkeypatch.setattr(scorer, "score_tokens", raises)

    return stop


def texts(clips, names):
    return clips.with_column("expected_text", np.resize(names, len(clips)).tolist()).unlabelled()


@pytest.mark.parametrize("epochs", [0, 1])
def test_a_fitted_model_reads_a_text_in_silence_once(fitted, corpus, run, no_silence, epochs):
    matcher, known = fitted(epochs=epochs), texts(corpus, ["a moon", "dog", "a little hat"])
    first = matcher.predict(known, run)
    no_silence()
    again = matcher.predict(texts(corpus.take([0, 1]), ["a little hat", "a moon"]), run)
    assert np.isfinite(again).all()
    np.testing.assert_allclose(matcher.predict(known, run), first, atol=1e-6)
    with pytest.raises(ReadError):
        matcher.predict(texts(corpus, ["a green hat"]), run)


def test_a_model_that_is_fitted_anew_takes_nothing_of_before(fitted, corpus, run):
    matcher = fitted()
    matcher.predict(corpus.unlabelled(), run)
    matcher.fit(corpus, run)
    fresh = fitted().predict(corpus.unlabelled(), run)
    np.testing.assert_allclose(matcher.predict(corpus.unlabelled(), run), fresh, atol=1e-6)


def test_only_so_many_texts_are_kept(fitted, corpus, run, monkeypatch):
    many = texts(corpus, ["a moon", "dog", "a little hat"])
    whole = fitted().predict(many, run)
    monkeypatch.setattr(silence, "MOST_TEXTS", 2)
    matcher = fitted()
    for _ in range(2):
        np.testing.assert_allclose(matcher.predict(many, run), whole, atol=1e-6)
    assert len(matcher._model._silence._known) <= 3


@pytest.mark.parametrize(("options", "passes"), [({}, 3), ({"negatives": 1}, 6)])
def test_training_reads_the_texts_in_silence_once_an_epoch(fitted, monkeypatch, options, passes):
    """Of two steps each; with wrong texts in every step."""
    passed, before, after = [], [], []
    score, begin, losses = scorer.score_tokens, MatchLoss.begin, MatchLoss.losses

    def counted(*asked):
        passed.append(asked)
        return score(*asked)

    def begins(self, epoch):
        before.append(len(passed))
        begin(self, epoch)

    def step(self, rows):
        found = losses(self, rows)
        after.append(len(passed))
        return found

    monkeypatch.setattr(scorer, "score_tokens", counted)
    monkeypatch.setattr(MatchLoss, "begin", begins)
    monkeypatch.setattr(MatchLoss, "losses", step)
    fitted(epochs=3, **options)
    assert after[-1] - before[0] == passes


@pytest.mark.parametrize("call", [2, 3, 4])
def test_training_that_goes_on_knows_what_silence_was_when_the_epoch_began(
    whisper, folders, corpus, run, monkeypatch, call
):
    """Interrupted in the last step of the first epoch, and in each step of the second."""

    def fitted(own):
        matcher = whisper(weights=str(folders["bytes"]), **{**FAST, "epochs": 2, "lr": 1e-2})
        matcher.fit(corpus, own)
        return matcher.predict(corpus.unlabelled(), own)

    calls = []
    real = MatchLoss.losses

    def losses(self, rows):
        calls.append(rows)
        if len(calls) == call:
            raise KeyboardInterrupt
        return real(self, rows)

    whole = fitted(replace(run, cache=run.cache / "whole"))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(MatchLoss, "losses", losses)
        fitted(run)
    found = fitted(run)
    assert run.notes["resumed_after_step"] == call - 1
    np.testing.assert_array_equal(found, whole)


@pytest.mark.slow
def test_two_processes_take_the_same_silence(whisper, folders, corpus, run):
    found = []
    for devices in ((), ("cpu", "cpu")):
        matcher = whisper(weights=str(folders["bytes"]), **{**FAST, "epochs": 2})
        own = replace(run, precision="fp32", devices=devices, workers=max(1, len(devices)))
        matcher.fit(corpus, own)
        found.append(matcher.predict(corpus.unlabelled(), own))
    np.testing.assert_allclose(*found, atol=1e-4)
