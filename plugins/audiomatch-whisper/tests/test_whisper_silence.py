"""What the decoder expects of a text where nobody speaks."""

import numpy as np
import pytest
from audiomatch_whisper.score import scorer, silence

FAST = {"epochs": 1, "batch_size": 4, "lr": 1e-3}


class Read(Exception):
    """A text was read in silence."""


@pytest.fixture
def no_silence(monkeypatch):
    """Let nothing be read in silence from here on."""

    def stop():
        def raises(*_):
            raise Read

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
    with pytest.raises(Read):
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
