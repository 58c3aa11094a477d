"""Words that are in no dictionary, said by eSpeak NG."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from audiomatch_phones.espeak import _espeak, say_by_espeak
from audiomatch_phones.evidence import PHONES
from audiomatch_phones.matcher import PhonesMatcher
from audiomatch_phones.pronouncing import pronunciations

from audiomatch import Run, UserError
from audiomatch.config import build_config
from audiomatch.datasets.mini_screener import open_mini_screener
from audiomatch.pronunciations import dictionary


def make(**options):
    return PhonesMatcher(build_config(PhonesMatcher.Config, options, "phones"))


@pytest.fixture
def without_espeak(monkeypatch):
    """As where the package is not installed."""
    _espeak.cache_clear()
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    yield
    _espeak.cache_clear()


@pytest.mark.parametrize(
    ("word", "phones"),
    [
        ("jeeg", "JH IY G"),
        ("glistomay", "G L IH S T AH M EY"),
        ("gimper", "G IH M P ER"),
        ("kellavoodosh", "K EH L AH V UW D AA SH"),
        ("zeera", "Z IH R AH"),
        ("borvle", "B AO R V AH L"),
        ("gatherest", "G AE DH ER IH S T"),
    ],
)
def test_its_phonemes_are_arpabet(word, phones):
    assert say_by_espeak(word) == tuple(phones.split())
    assert pronunciations(word, "espeak") == (tuple(phones.split()),)


def test_it_says_every_word_in_phones_that_there_are():
    words = [word for word in dictionary() if word.isascii() and word.isalpha()][::40]
    said = {word: say_by_espeak(word) for word in words}
    assert all(said.values()) and {p for phones in said.values() for p in phones} == set(PHONES)
    right = [
        phones in {tuple(w.split()) for w in dictionary()[word]} for word, phones in said.items()
    ]
    assert np.mean(right) > 0.5


def test_words_of_the_dictionary_stay_as_they_are():
    assert pronunciations("read", "espeak") == pronunciations("read")
    assert pronunciations("27%", "espeak") == pronunciations("27%")
    assert pronunciations("zoob", "espeak") != pronunciations("zoob")


def test_a_saved_matcher_predicts_the_same(tmp_path):
    clips = open_mini_screener(None, True)
    nonwords = np.flatnonzero(np.array(clips["task"].tolist()) == "nonword_repetition")
    clips, run = clips.take(nonwords[:40]), Run(cache=tmp_path / "cache", workers=1)
    matcher = make(letters="espeak")
    assert matcher.fingerprint()["espeak"].startswith("1.")
    matcher.fit(clips, run)
    p = matcher.predict(clips.unlabelled(), run)
    (tmp_path / "model").mkdir()
    matcher.save(tmp_path / "model")
    again = make(letters="espeak")
    again.load(tmp_path / "model")
    assert np.array_equal(again.predict(clips.unlabelled(), run), p)
    own = make()
    own.fit(clips, run)
    assert not np.array_equal(own.predict(clips.unlabelled(), run), p)


def test_without_it_one_line_says_how_to_get_it(without_espeak):
    assert make().fingerprint()
    with pytest.raises(UserError, match=r"pip install 'audiomatch-phones\[espeak\]'") as error:
        make(letters="espeak").fingerprint()
    assert "\n" not in str(error.value)
