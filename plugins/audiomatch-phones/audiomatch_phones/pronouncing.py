"""How each word of a text may be said: CMUdict, numbers and signs in words, else by its letters."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import product
from typing import Literal

from audiomatch.pronunciations import dictionary
from audiomatch_phones.espeak import say_by_espeak
from audiomatch_phones.letters import letter_model, plain_letters

Phones = tuple[str, ...]
Letters = Literal["own", "espeak"]
MOST = 12  # ways of one word that are looked for
BY_LETTERS = 3  # of them where only its letters are known
SIGNS = {
    "%": "percent", "&": "and", "+": "plus", "=": "equals", "@": "at", "#": "number",
    "$": "dollars", "£": "pounds", "€": "euros", "×": "times", "÷": "divided by", "°": "degrees",
    ".": "point", "/": "over",
}  # fmt: skip
ONES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen"),
    *("eighteen", "nineteen"),
)
TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
HISSES = {"S", "Z", "SH", "ZH", "CH", "JH"}
VOICELESS = {"P", "T", "K", "F", "TH"}
_PARTS = re.compile(r"\d+|[^\W\d_]+(?:'[^\W\d_]+)*|\S")


@lru_cache(maxsize=1 << 14)
def pronunciations(word: str, letters: Letters = "own") -> tuple[Phones, ...]:
    """Return how a word may be said, the usual way first; none where no letter is known.

    Args:
        word: in its normal form.
        letters: who says what is in no dictionary by its letters: the model of this package, in
            its most probable ways, or eSpeak NG, in one.
    """
    ways = [_part(part, letters) for part in _PARTS.findall(word)]
    joined = (
        tuple(phone for one in chosen for phone in one) for chosen in product(*filter(None, ways))
    )
    return tuple(dict.fromkeys(way for way, _ in zip(joined, range(MOST), strict=False) if way))


def _part(part: str, letters: Letters) -> tuple[Phones, ...]:
    part = number_in_words(part) if part.isdecimal() else SIGNS.get(part, part)
    if " " in part:
        return pronunciations(part, letters)
    plain = plain_letters(part)
    return _in_dictionary(part) or _in_dictionary(plain) or _by_letters(plain, letters)


def _in_dictionary(word: str) -> tuple[Phones, ...]:
    said = dictionary()
    if word in said:
        return tuple(tuple(way.split()) for way in said[word])
    if word.endswith("'s") and word[:-2] in said:
        return tuple(possessive(tuple(way.split())) for way in said[word[:-2]])
    return ()


def possessive(phones: Phones) -> Phones:
    """Return a word's phones with the ending that is written 's."""
    if phones[-1] in HISSES:
        return (*phones, "AH", "Z")
    return (*phones, "S" if phones[-1] in VOICELESS else "Z")


def _by_letters(word: str, letters: Letters) -> tuple[Phones, ...]:
    if not word:
        return ()
    if letters == "espeak":
        return tuple(filter(None, [say_by_espeak(word)]))
    return tuple(letter_model().pronounce(word, BY_LETTERS))


def number_in_words(digits: str) -> str:
    """Return a whole number in words, as it is read aloud; a long one digit by digit."""
    number = int(digits)
    if len(digits) > 6 or (digits[0] == "0" and len(digits) > 1):
        return " ".join(ONES[int(digit)] for digit in digits)
    if number < 20:
        return ONES[number]
    if number < 100:
        return f"{TENS[number // 10]} {ONES[number % 10]}".removesuffix(" zero")
    base, name = (100, "hundred") if number < 1000 else (1000, "thousand")
    rest = f" {number_in_words(str(number % base))}" if number % base else ""
    return f"{number_in_words(str(number // base))} {name}{rest}"
