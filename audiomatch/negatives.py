"""Texts that a clip does not say, made from the one that it says, and mismatches made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from typing import NamedTuple

import numpy as np

from audiomatch.text import letters

# Words to put in where the texts have too few of their own.
SPARE = ("apple", "window", "seven", "under", "morning", "quickly", "brother", "yellow")
VOWELS = "aeiou"
CONSONANTS = "bdfghjklmnprstvwz"
EDIT = "edit"
_TRIES = 50


class Kind(IntEnum):
    """What is wrong with a text: another text, a word replaced, put in or left out, a sound."""

    SWAP = 0
    REPLACE = 1
    INSERT = 2
    DELETE = 3
    SOUND = 4


NAMES = (*(kind.name.lower() for kind in Kind), EDIT)

# How often each kind is made: of a text of several words, and of one word.
OF_SEVERAL = {
    Kind.SWAP: 0.2,
    Kind.REPLACE: 0.4,
    Kind.INSERT: 0.15,
    Kind.DELETE: 0.1,
    Kind.SOUND: 0.15,
}
OF_ONE = {Kind.SWAP: 0.3, Kind.REPLACE: 0.3, Kind.SOUND: 0.4}


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

    def make(self, text: str, generator: np.random.Generator, *, swap: bool = True) -> Wrong:
        """Make a text that differs from `text` in what is heard, of any kind or none but `swap`."""
        shares = dict(OF_SEVERAL if len(text.split()) > 1 else OF_ONE)
        if not swap:
            del shares[Kind.SWAP]
        p = np.array([shares.get(kind, 0.0) for kind in Kind])
        return self.make_kind(Kind(generator.choice(len(Kind), p=p / p.sum())), text, generator)

    def make_kind(self, kind: Kind, text: str, generator: np.random.Generator) -> Wrong:
        """Make a wrong text of that kind; where `text` allows none, with a word replaced."""
        ways: Mapping[Kind, Callable[[list[str], np.random.Generator], Wrong]] = {
            Kind.SWAP: self._swap,
            Kind.REPLACE: self._replace,
            Kind.INSERT: self._insert,
            Kind.DELETE: self._delete,
            Kind.SOUND: self._sound,
        }
        return ways[kind](text.split(), generator)

    def _swap(self, words: list[str], generator: np.random.Generator) -> Wrong:
        own = letters("".join(words))
        for _ in range(8):
            other = self._texts[int(generator.integers(len(self._texts)))]
            if letters(other) != own:
                return Wrong(other, Kind.SWAP, None)
        return self._replace(words, generator)

    def _replace(self, words: list[str], generator: np.random.Generator) -> Wrong:
        at = int(generator.integers(len(words)))
        other = self._other(words[at], generator)
        return Wrong(_joined(words[:at], other, words[at + 1 :]), Kind.REPLACE, at)

    def _insert(self, words: list[str], generator: np.random.Generator) -> Wrong:
        at = int(generator.integers(len(words) + 1))
        beside = words[at] if at < len(words) else words[-1]
        other = self._other(beside, generator)
        return Wrong(_joined(words[:at], other, words[at:]), Kind.INSERT, at)

    def _delete(self, words: list[str], generator: np.random.Generator) -> Wrong:
        if len(words) < 2:
            return self._replace(words, generator)
        at = int(generator.integers(len(words)))
        return Wrong(" ".join([*words[:at], *words[at + 1 :]]), Kind.DELETE, None)

    def _sound(self, words: list[str], generator: np.random.Generator) -> Wrong:
        """Change a letter for another of its kind: roughly one sound for another."""
        places = [
            (i, j)
            for i, word in enumerate(words)
            for j, letter in enumerate(word.lower())
            if letter in VOWELS or letter in CONSONANTS
        ]
        if not places:
            return self._replace(words, generator)
        at, place = places[int(generator.integers(len(places)))]
        letter = words[at][place].lower()
        kind = (VOWELS if letter in VOWELS else CONSONANTS).replace(letter, "")
        other = kind[int(generator.integers(len(kind)))]
        changed = words[at][:place] + other + words[at][place + 1 :]
        return Wrong(_joined(words[:at], changed, words[at + 1 :]), Kind.SOUND, at)

    def _other(self, word: str, generator: np.random.Generator) -> str:
        while True:
            other = self._words[int(generator.integers(len(self._words)))]
            if letters(other) != letters(word):
                return other


def _joined(before: list[str], word: str, after: list[str]) -> str:
    return " ".join([*before, word, *after])
