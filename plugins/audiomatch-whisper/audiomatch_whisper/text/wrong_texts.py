"""Texts that a clip does not say, made from the one that it says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from typing import NamedTuple

import numpy as np

from audiomatch_whisper.text.words import letters

# Words to put in where the texts have too few of their own.
SPARE = ("apple", "window", "seven", "under", "morning", "quickly", "brother", "yellow")
VOWELS = "aeiou"
CONSONANTS = "bdfghjklmnprstvwz"


class Kind(IntEnum):
    """What is wrong with a text."""

    ANOTHER_TEXT = 0
    WORD_REPLACED = 1
    WORD_PUT_IN = 2
    WORD_LEFT_OUT = 3
    LETTER_CHANGED = 4


# How often each kind is made: of a text of several words, and of one word.
OF_SEVERAL = {
    Kind.ANOTHER_TEXT: 0.2,
    Kind.WORD_REPLACED: 0.4,
    Kind.WORD_PUT_IN: 0.15,
    Kind.WORD_LEFT_OUT: 0.1,
    Kind.LETTER_CHANGED: 0.15,
}
OF_ONE = {Kind.ANOTHER_TEXT: 0.3, Kind.WORD_REPLACED: 0.3, Kind.LETTER_CHANGED: 0.4}


class Wrong(NamedTuple):
    """A text that is wrong.

    Attributes:
        text: the text.
        kind: what is wrong with it.
        word: the place of the word that is wrong; None where there is no such word.
    """

    text: str
    kind: Kind
    word: int | None


class WrongTexts:
    """Makes wrong texts out of some texts' own words, and whole texts, of the same speech."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = sorted(set(texts))
        words = [word for text in texts for word in text.split() if letters(word)]
        # By how often they are said: a rare word would be known by its rarity.
        self._words = sorted([*words, *SPARE])

    def make(self, text: str, generator: np.random.Generator) -> Wrong:
        """Make a text that differs from `text` in what is heard."""
        words = text.split()
        shares = OF_SEVERAL if len(words) > 1 else OF_ONE
        kind = Kind(generator.choice(len(Kind), p=[shares.get(kind, 0.0) for kind in Kind]))
        ways: Mapping[Kind, Callable[[list[str], np.random.Generator], Wrong]] = {
            Kind.ANOTHER_TEXT: self._another_text,
            Kind.WORD_REPLACED: self._word_replaced,
            Kind.WORD_PUT_IN: self._word_put_in,
            Kind.WORD_LEFT_OUT: self._word_left_out,
            Kind.LETTER_CHANGED: self._letter_changed,
        }
        return ways[kind](words, generator)

    def replace(self, text: str, generator: np.random.Generator) -> Wrong:
        """Replace one word of `text` by another."""
        return self._word_replaced(text.split(), generator)

    def put_in(self, text: str, generator: np.random.Generator) -> Wrong:
        """Put a word into `text`."""
        return self._word_put_in(text.split(), generator)

    def _another_text(self, words: list[str], generator: np.random.Generator) -> Wrong:
        own = letters("".join(words))
        for _ in range(8):
            other = self._texts[int(generator.integers(len(self._texts)))]
            if letters(other) != own:
                return Wrong(other, Kind.ANOTHER_TEXT, None)
        return self._word_replaced(words, generator)

    def _word_replaced(self, words: list[str], generator: np.random.Generator) -> Wrong:
        at = int(generator.integers(len(words)))
        other = self._other(words[at], generator)
        return Wrong(_joined(words[:at], other, words[at + 1 :]), Kind.WORD_REPLACED, at)

    def _word_put_in(self, words: list[str], generator: np.random.Generator) -> Wrong:
        at = int(generator.integers(len(words) + 1))
        beside = words[at] if at < len(words) else words[-1]
        other = self._other(beside, generator)
        return Wrong(_joined(words[:at], other, words[at:]), Kind.WORD_PUT_IN, at)

    def _word_left_out(self, words: list[str], generator: np.random.Generator) -> Wrong:
        at = int(generator.integers(len(words)))
        return Wrong(" ".join([*words[:at], *words[at + 1 :]]), Kind.WORD_LEFT_OUT, None)

    def _letter_changed(self, words: list[str], generator: np.random.Generator) -> Wrong:
        """Change a letter for another of its kind: roughly one sound for another."""
        places = [
            (i, j)
            for i, word in enumerate(words)
            for j, letter in enumerate(word.lower())
            if letter in VOWELS or letter in CONSONANTS
        ]
        if not places:
            return self._word_replaced(words, generator)
        at, place = places[int(generator.integers(len(places)))]
        letter = words[at][place].lower()
        kind = (VOWELS if letter in VOWELS else CONSONANTS).replace(letter, "")
        other = kind[int(generator.integers(len(kind)))]
        changed = words[at][:place] + other + words[at][place + 1 :]
        return Wrong(_joined(words[:at], changed, words[at + 1 :]), Kind.LETTER_CHANGED, at)

    def _other(self, word: str, generator: np.random.Generator) -> str:
        while True:
            other = self._words[int(generator.integers(len(self._words)))]
            if letters(other) != letters(word):
                return other


def _joined(before: list[str], word: str, after: list[str]) -> str:
    return " ".join([*before, word, *after])
