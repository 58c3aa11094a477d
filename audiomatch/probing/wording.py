"""Probes that change the text, so that something else was said than it says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import numpy as np

from audiomatch.probing.answers import Answer
from audiomatch.probing.lexicon import Lexicon
from audiomatch.text import letters

Rng = np.random.Generator
Place = Literal["first", "middle", "last"]


def words_swapped(answer: Answer, rng: Rng) -> Answer | None:
    """Swap two neighbouring words."""
    words = answer.words
    places = [i for i in range(len(words) - 1) if letters(words[i]) != letters(words[i + 1])]
    if not places:
        return None
    i = places[int(rng.integers(len(places)))]
    return answer.saying([*words[:i], words[i + 1], words[i], *words[i + 2 :]])


def two_words_more(answer: Answer, rng: Rng) -> Answer | None:
    """Put two words of other texts behind the text."""
    words = answer.words
    for _ in range(2):
        word = answer.others.word(rng, unlike=words[-1:])
        if word is None:
            return None
        words.append(word)
    return answer.saying(words)


def two_words_fewer(answer: Answer, _rng: Rng) -> Answer | None:
    """Leave out the last two words of a text of at least four."""
    return answer.saying(answer.words[:-2]) if len(answer.words) >= 4 else None


def word_replaced(answer: Answer, rng: Rng, place: Place) -> Answer | None:
    """Put a word of another text in the place of one, of several."""
    words = answer.words
    at = _at(place, len(words))
    word = None if at is None else answer.others.word(rng, unlike=[words[at]])
    return None if at is None or word is None else answer.saying(_with(words, at, word))


def word_more(answer: Answer, rng: Rng, place: Place) -> Answer | None:
    """Put a word of another text in."""
    words = answer.words
    at = {"first": 0, "middle": len(words) // 2, "last": len(words)}[place]
    if place == "middle" and len(words) < 2:
        return None
    word = answer.others.word(rng, unlike=words[max(at - 1, 0) : at + 1])
    return None if word is None else answer.saying([*words[:at], word, *words[at:]])


def word_fewer(answer: Answer, _rng: Rng, place: Place) -> Answer | None:
    """Leave a word out of a text of at least three."""
    words = answer.words
    at = _at(place, len(words))
    return None if at is None or len(words) < 3 else answer.saying(words[:at] + words[at + 1 :])


first_word_replaced = partial(word_replaced, place="first")
middle_word_replaced = partial(word_replaced, place="middle")
last_word_replaced = partial(word_replaced, place="last")
first_word_more = partial(word_more, place="first")
middle_word_more = partial(word_more, place="middle")
last_word_more = partial(word_more, place="last")
first_word_fewer = partial(word_fewer, place="first")
middle_word_fewer = partial(word_fewer, place="middle")
last_word_fewer = partial(word_fewer, place="last")


def homophone(answer: Answer, rng: Rng) -> Answer | None:
    """Spell a word as another that sounds the same, as too for to."""
    return _by_lexicon(answer, rng, Lexicon.homophones)


def one_phone(answer: Answer, rng: Rng) -> Answer | None:
    """Put in the place of a word one that differs from it in one phone, as pin for pen."""
    return _by_lexicon(answer, rng, Lexicon.minimal_pairs)


def ending_more(answer: Answer, rng: Rng) -> Answer | None:
    """Put an s or ed behind a word: the reader left it out."""
    return _by_lexicon(answer, rng, Lexicon.with_ending)


def ending_fewer(answer: Answer, rng: Rng) -> Answer | None:
    """Take an s or ed from a word: the reader added it."""
    return _by_lexicon(answer, rng, Lexicon.without_ending)


def _by_lexicon(
    answer: Answer, rng: Rng, others: Callable[[Lexicon, str], Sequence[str]]
) -> Answer | None:
    """Put another word in the place of one; each word that allows it is as likely."""
    words, lexicon = answer.words, Lexicon.installed()
    found = {i: others(lexicon, word) for i, word in enumerate(words)}
    places = [i for i, choices in found.items() if choices]
    if not places:
        return None
    at = places[int(rng.integers(len(places)))]
    return answer.saying(_with(words, at, found[at][int(rng.integers(len(found[at])))]))


def _at(place: Place, count: int) -> int | None:
    """Return the place of a word among several; the middle is neither first nor last."""
    if count < (3 if place == "middle" else 2):
        return None
    return {"first": 0, "middle": count // 2, "last": count - 1}[place]


def _with(words: Sequence[str], at: int, word: str) -> list[str]:
    return [*words[:at], word, *words[at + 1 :]]
