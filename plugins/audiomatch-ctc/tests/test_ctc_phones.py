"""Texts as phones, in the symbols of several models."""

from __future__ import annotations

import pytest
from audiomatch_ctc.phones import ARPABET, Phones, writes_phones
from audiomatch_phones.pronouncing import pronunciations
from hypothesis import given, settings
from hypothesis import strategies as st

from audiomatch.errors import WeightsError
from audiomatch.pronunciations import dictionary

IPA = """n s t ə l a i k d m ɛ ɾ e ɪ p o ɐ z ð f j v b ɹ ʁ ʊ r w ʌ u ɡ æ ʃ h ɔ ŋ ɚ ɜ ɑ θ x
    iː aɪ ɑː eɪ uː oʊ aʊ ɔɪ ɔː ɜː tʃ dʒ ʒ əl ɑːɹ ɔːɹ oːɹ ɛɹ ɪɹ ʊɹ"""
ESPEAK = IPA.split()
SINGLE = [*"ɑæʌəɔabdðɛfɡhɪijklmnŋopɹsʃtθʊuvwzʒɝɚe"]
UPPER, LOWER = [*ARPABET], ["sil", *(p.lower() for p in ARPABET if p not in ("AO", "ZH"))]


def vocabulary(symbols):
    return {symbol: i for i, symbol in enumerate(["<pad>", *symbols])}


def said(text, symbols):
    phones = Phones(vocabulary(symbols), "a model")
    return phones.joined(phones.encode(text).ids)


@pytest.mark.parametrize(
    ("symbols", "expected"),
    [
        (ESPEAK, "ʃ iː w ɛ ɹ z b ɹ aʊ n ʃ uː z"),
        (SINGLE, "ʃ i w ɛ ɹ z b ɹ a ʊ n ʃ u z"),
        (UPPER, "SH IY W EH R Z B R AW N SH UW Z"),
        (LOWER, "sh iy w eh r z b r aw n sh uw z"),
    ],
)
def test_each_model_has_its_symbols(symbols, expected):
    expected = expected.replace("ɛ ɹ", "ɛɹ") if symbols is ESPEAK else expected
    assert said("she wears brown shoes", symbols) == expected


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("cup", "k ʌ p"),  # the vowel of the only syllable bears the stress
        ("sofa", "s oʊ f ə"),
        ("bird", "b ɜː d"),
        ("teacher", "t iː tʃ ɚ"),
        ("car", "k ɑːɹ"),
        ("fork", "f ɔːɹ k"),
        ("measure", "m ɛ ʒ ɚ"),
        ("judge", "dʒ ʌ dʒ"),
    ],
)
def test_espeaks_symbols(word, expected):
    assert said(word, ESPEAK) == expected


def test_a_nonword_is_said_by_its_letters():
    assert said("glib", UPPER) == "G L IH B" and said("glibbest", UPPER).startswith("G L IH B")
    assert said("naïve", ESPEAK) == said("naive", ESPEAK) != ""


def test_what_timit_merges():
    assert said("measure", LOWER) == "m eh sh er" and said("fought", LOWER) == "f aa t"


def test_a_word_without_a_pronunciation_is_left_out_and_named():
    phones = Phones(vocabulary(ESPEAK), "a model")
    spelling = phones.encode("ten 青い hats")
    assert phones.joined(spelling.ids) == "t ɛ n h æ t s"
    assert spelling.words.tolist() == [0, 0, 0, 2, 2, 2, 2]
    assert spelling.left_out("ten 青い hats") == ["青い"]
    assert not phones.encode("青い").ids.size


def test_a_vocabulary_without_some_english_phones_is_refused_by_their_names():
    with pytest.raises(WeightsError, match="a model: .* no unit for the phones DH, TH "):
        Phones(vocabulary([s for s in ESPEAK if s not in ("θ", "ð")]), "a model")


def test_a_vocabulary_of_phones_is_told_from_one_of_letters():
    assert all(map(writes_phones, (vocabulary(one) for one in (ESPEAK, SINGLE, UPPER, LOWER))))
    assert not writes_phones(vocabulary("|ABCDEFGHIJKLMNOPQRSTUVWXYZ'"))


@given(
    st.sampled_from(sorted(filter(str.isalpha, dictionary()))),
    st.sampled_from([ESPEAK, SINGLE, UPPER, LOWER]),
)
@settings(max_examples=40, deadline=None)
def test_every_phone_of_a_word_has_a_unit(word, symbols):
    sound = pronunciations(word)[0]
    found = said(word, symbols).split()
    if symbols in (UPPER, LOWER):
        assert len(found) == len(sound)
    else:
        rhotic = sum(phone == "R" for phone in sound)
        assert len(sound) - rhotic <= len(found) <= 2 * len(sound)
