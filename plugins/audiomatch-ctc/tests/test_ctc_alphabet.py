"""Texts as a CTC vocabulary spells them."""

from __future__ import annotations

from itertools import groupby

import pytest
from audiomatch_ctc.alphabet import Alphabet
from hypothesis import given
from hypothesis import strategies as st

SPECIAL = ["<pad>", "<s>", "</s>", "<unk>"]
UPPER = {t: i for i, t in enumerate([*SPECIAL, "|", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ'"])}
LOWER = {t: i for i, t in enumerate(["|", *"abcdefghijklmnopqrstuvwxyzäöüß", "[PAD]"])}


def spelt(text, vocabulary=UPPER, delimiter="|"):
    back = {i: t for t, i in vocabulary.items()}
    return "".join(back[i] for i in Alphabet(vocabulary, delimiter).encode(text).ids)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the dog ran", "THE|DOG|RAN"),
        ("don't stop", "DON'T|STOP"),
        ("naïve café", "NAIVE|CAFE"),
        ("a 7 b", "A|B"),
        ("青い", ""),
        ("42", ""),
        ("|", ""),
    ],
)
def test_upper_case_vocabulary(text, expected):
    assert spelt(text) == expected


def test_lower_case_vocabulary_with_letters_of_its_own():
    assert spelt("äpfel für dich", LOWER) == "äpfel|für|dich"


def test_without_a_delimiter_words_run_together():
    vocabulary = {t: i for t, i in UPPER.items() if t != "|"}
    assert spelt("the dog", vocabulary, None) == "THEDOG"


@given(st.text())
def test_any_text_gives_known_ids_and_lone_delimiters(text):
    spelling = Alphabet(UPPER, "|").encode(text)
    ids = spelling.ids.tolist()
    assert all(i >= UPPER["|"] for i in ids)
    words = "".join("|" if i == UPPER["|"] else "x" for i in ids)
    assert words == words.strip("|") and "||" not in words
    parted = [list(own) for place, own in groupby(spelling.words) if place >= 0]
    assert len(parted) == len(text.split()) - len(spelling.left_out(text))
