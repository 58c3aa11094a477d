"""What is spoken is in the prompt."""

import numpy as np
import pytest
from audiomatch_whisper.text.tokenizer import WhisperTokenizer

from audiomatch.errors import UserError

FAST = {"epochs": 0, "batch_size": 4}


@pytest.mark.parametrize("vocabulary", ["multilingual", "large-v3"])
def test_the_prompt_is_in_the_language_that_is_asked_for(fitted, corpus, run, vocabulary):
    english = fitted(vocabulary)
    other = fitted(vocabulary, language="language7")
    start, language, *rest = english._model.prompt
    assert other._model.prompt == (start, language + 8, *rest)
    p = [matcher.predict(corpus.unlabelled(), run) for matcher in (english, other)]
    assert np.abs(p[0] - p[1]).max() > 1e-4
    explained = other.explain(corpus.take([0]).unlabelled(), run)
    assert explained[0].p_match == pytest.approx(p[1][0], abs=1e-4)


def test_a_language_that_the_whisper_does_not_know_is_refused_in_one_line(
    whisper, folders, corpus, run
):
    matcher = whisper(weights=str(folders["multilingual"]), language="languag7", epochs=0)
    for refusing in (matcher.fit, matcher.refuses):
        with pytest.raises(UserError, match=r"language 'languag7'.*language7"):
            refusing(corpus, run)
    english = whisper(weights=str(folders["english"]), language="de", epochs=0)
    with pytest.raises(UserError, match=r"language=de: this Whisper knows only English \(en\)"):
        english.fit(corpus, run)


def test_a_language_with_a_vocabulary_of_openai_has_all_its_languages(folders):
    tokenizer = WhisperTokenizer.read(folders["large-v3"])
    assert len(tokenizer.languages) == 100 and tokenizer.languages[:2] == ("en", "language0")
    assert tokenizer.speaking("en") is tokenizer
