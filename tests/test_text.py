"""The normal form of a text, and its words as they are written."""

from __future__ import annotations

import unicodedata

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiomatch import UserError
from audiomatch.clips import Clips
from audiomatch.testing.spellings import SPELLINGS
from audiomatch.text import normalise_text, text_key, written_words

WORDS = ("don't", "the", "café", "o'clock", "naïve", "ice", "3.5", "straße", "Moon", "dog's")
APOSTROPHES = "\u2019\u2018\u02bc\u2032\u00b4`\x92\uff07\u201b\u02b9"
texts = st.text(max_size=24)
sentences = st.lists(st.sampled_from(WORDS), min_size=1, max_size=6).map(" ".join)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("  Don’t—STOP, “now”… ", "don't stop now"),
        ("don't", "don't"),
        ("'Tis the dogs' bone, 'so' she said", "tis the dogs bone so she said"),
        ("rock'n'roll o’clock '90s", "rock'n'roll o'clock 90s"),
        ("3.5 litres. 1,000,000 of 24/7", "3.5 litres 1000000 of 24/7"),
        ("2½ cups, 1/2 or ½", "2 1/2 cups 1/2 or 1/2"),
        ("U.S. Mr. e.g.", "u s mr e g"),
        ("AT&T: 50% or 50 %, $5, 20 °C", "at & t 50 % or 50 % $ 5 20 ° c"),
        ("ice-cream and/or under_score", "ice cream and or under score"),
        ("ﬁve Lego™ ３", "five lego 3"),
        ("STRASSE straße", "strasse strasse"),
        ("你好，世界。", "你好 世界"),
        ("cafe\u0301 הַיֶּלֶד", "café הַיֶּלֶד"),
        ("3\ufe0f\u20e3 I \u2764\ufe0f you", "3 i you"),
        ("— !!! … “”", ""),
    ],
)
def test_normal_form(text: str, normal: str) -> None:
    assert normalise_text(text) == unicodedata.normalize("NFKC", normal)


def test_three_is_not_3_nor_colour_color() -> None:
    assert len({*map(normalise_text, ("three", "3", "colour", "color", "dont", "don't"))}) == 6
    assert text_key("don't") == text_key("dont")


@settings(max_examples=200, deadline=None)
@given(texts)
def test_it_is_its_own_normal_form_and_that_of_its_words(text: str) -> None:
    normal = normalise_text(text)
    assert normalise_text(normal) == normal
    assert normal.split() == [
        part for word in text.split() for part in normalise_text(word).split()
    ]
    for form in ("NFC", "NFD"):
        assert normalise_text(unicodedata.normalize(form, text)) == normal


@settings(max_examples=100, deadline=None)
@given(sentences, st.sampled_from(list(SPELLINGS)), st.sampled_from(APOSTROPHES))
def test_spellings_share_a_normal_form(text: str, name: str, apostrophe: str) -> None:
    spelt = SPELLINGS[name](text).replace("'", apostrophe)
    assert normalise_text(spelt) == normalise_text(text)


@settings(max_examples=200, deadline=None)
@given(texts.filter(normalise_text))
def test_written_words_joined_are_the_text(text: str) -> None:
    found = written_words(text, normalise_text(text).split())
    assert "".join(" ".join(found).split()) == "".join(text.split())


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("“Ice-cream,” said Mum.", ["“Ice-", "cream,”", "said", "Mum."]),
        ("— no — yes —", ["— no —", "yes —"]),
        ("Don’t pay $3.50!", ["Don’t", "pay", "$", "3.50!"]),
        ("soft\u00adly\u00a0now", ["soft\u00adly", "now"]),
    ],
)
def test_words_are_shown_as_written(text: str, written: list[str]) -> None:
    assert written_words(text, normalise_text(text).split()) == written


def test_words_as_a_matcher_parts_them() -> None:
    assert written_words("Don’t — GO home.", ["do", "n't", "go home"]) == [
        "Do",
        "n’t —",
        "GO home.",
    ]


@pytest.mark.parametrize("text", ["—", "!!!", "\ufeff\u200b ", "  "])
def test_a_text_with_nothing_to_say_is_refused_with_its_row(text: str) -> None:
    frame = pd.DataFrame({"id": ["a", "b"], "audio": "a.wav", "expected_text": ["moon", text]})
    with pytest.raises(UserError, match=r"m\.csv, row 1 \(id 'b'\): expected_text "):
        Clips(frame, "m.csv")
