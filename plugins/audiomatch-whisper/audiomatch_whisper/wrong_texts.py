"""Texts that a clip does not say, made from the one that it says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from audiomatch_whisper.words import bare

# Words to put in where the texts have too few of their own.
SPARE = ("apple", "window", "seven", "under", "morning", "quickly", "brother", "yellow")
KINDS = ("another text", "word replaced", "word put in", "word left out", "letter changed")
# How often each kind is made: of a text of several words, and of one word.
OF_SEVERAL = (0.2, 0.4, 0.15, 0.1, 0.15)
OF_ONE = (0.3, 0.3, 0.0, 0.0, 0.4)
VOWELS = "aeiou"
CONSONANTS = "bdfghjklmnprstvwz"


class Wrong(NamedTuple):
    """A text that is wrong.

    Attributes:
        text: the text.
        kind: its place in `KINDS`.
        word: the place of the word that is wrong; -1 where there is no such word.
    """

    text: str
    kind: int
    word: int


class WrongTexts:
    """Makes wrong texts out of some texts' own words, and whole texts, of the same speech."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = sorted(set(texts))
        words = [word for text in texts for word in text.split() if bare(word)]
        # By how often they are said: a rare word would be known by its rarity.
        self._words = sorted([*words, *SPARE])

    def make(self, text: str, generator: np.random.Generator) -> Wrong:
        """Make a text that differs from `text` in what is heard."""
        words = text.split()
        shares = OF_SEVERAL if len(words) > 1 else OF_ONE
        kind = int(generator.choice(len(KINDS), p=shares))
        ways = (
            self._another_text,
            self._word_replaced,
            self._word_put_in,
            self._word_left_out,
            self._letter_changed,
        )
        return ways[kind](words, generator)

    def replace(self, text: str, generator: np.random.Generator) -> Wrong:
        """Replace one word of `text` by another."""
        return self._word_replaced(text.split(), generator)

    def put_in(self, text: str, generator: np.random.Generator) -> Wrong:
        """Put a word into `text`."""
        return self._word_put_in(text.split(), generator)

    def _another_text(self, words: list[str], generator: np.random.Generator) -> Wrong:
        own = bare("".join(words))
        for _ in range(8):
            other = self._texts[int(generator.integers(len(self._texts)))]
            if bare(other) != own:
                return Wrong(other, 0, -1)
        return self._word_replaced(words, generator)

    def _word_replaced(self, words: list[str], generator: np.random.Generator) -> Wrong:
        at = int(generator.integers(len(words)))
        return Wrong(_joined(words[:at], self._other(words[at], generator), words[at + 1 :]), 1, at)

    def _word_put_in(self, words: list[str], generator: np.random.Generator) -> Wrong:
        at = int(generator.integers(len(words) + 1))
        beside = words[at] if at < len(words) else words[-1]
        return Wrong(_joined(words[:at], self._other(beside, generator), words[at:]), 2, at)

    def _word_left_out(self, words: list[str], generator: np.random.Generator) -> Wrong:
        at = int(generator.integers(len(words)))
        return Wrong(" ".join([*words[:at], *words[at + 1 :]]), 3, -1)

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
        return Wrong(_joined(words[:at], changed, words[at + 1 :]), 4, at)

    def _other(self, word: str, generator: np.random.Generator) -> str:
        while True:
            other = self._words[int(generator.integers(len(self._words)))]
            if bare(other) != bare(word):
                return other


def _joined(before: list[str], word: str, after: list[str]) -> str:
    return " ".join([*before, word, *after])
