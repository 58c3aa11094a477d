"""The one place that normalises text, and finds a text's words again where they are written."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import TypeVar

T = TypeVar("T")

# What is typed for an apostrophe: quotes, primes, accents that stand alone, letters that look so.
_APOSTROPHES = (
    "`\u00b4\u2018\u2019\u201b\u2032\u2035\u02b9\u02bb\u02bc\u02bd\u055a\u05f3\u1fbd\u1fbf\ua78c"
)
# Signs that are said; those of currency are too.
_SAID = "%\u2030&@#+=\u00d7\u00f7\u00b0"
# No letters to the ear, whatever Unicode calls them: fillers, variation selectors, and the stroke
# that draws out Arabic words.
_SELECTORS = (*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))
_SILENT = {*"\u034f\u0640\u115f\u1160\u17b4\u17b5\u3164\uffa0", *map(chr, _SELECTORS)}
_TYPOGRAPHY = {
    # Bytes of cp1252 that were read as Latin-1 became control characters.
    **{i: bytes([i]).decode("cp1252", "replace") for i in range(0x80, 0xA0)},
    **dict.fromkeys([0x91, 0x92, *map(ord, _APOSTROPHES)], "'"),
    **dict.fromkeys([0x99, ord("\u2122"), ord("\u2120")], " "),  # trademarks, not the letters TM
    ord("\u2044"): "/",
}
# A fraction after a number is a word of its own: two and a half is not 21/2.
_FRACTION = re.compile("(?<=\\d)(?=[\u00bc-\u00be\u2150-\u215e\u2189])")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
# Apostrophes inside a word, and points and slashes between digits, are kept; others part words.
_JOINTS = re.compile(r"((?<=[^ './,])'(?=[^ './,])|(?<=\d)[./](?=\d))|['./,]+")

_NORMAL = re.compile(r"[a-z0-9]+( [a-z0-9]+)*")


@lru_cache(maxsize=1 << 16)
def normalise_text(text: str) -> str:
    """Return the normal form of a text, in which every matcher is given it.

    NFKC, lower case, words with single spaces between. Apostrophes of all sorts are straight, and
    stay inside words only; points and slashes stay between digits. All other punctuation, hyphens
    and dashes too, parts words; invisible characters are left out. Signs that are said, such as %,
    are words. A text without anything to say is empty.
    """
    if _NORMAL.fullmatch(text):
        return text
    if text.isascii():  # most are; none of the characters changes what its neighbours are
        heard = text.lower().translate(_ASCII)
    else:
        text = _FRACTION.sub(" ", unicodedata.normalize("NFC", _audible(text)))
        text = _audible(unicodedata.normalize("NFKC", text.translate(_TYPOGRAPHY))).casefold()
        heard = "".join(_heard(unicodedata.normalize("NFKC", text).translate(_TYPOGRAPHY)))
    kept = _JOINTS.sub(lambda joint: joint[1] or " ", _THOUSANDS.sub("", heard))
    return " ".join(kept.split())


def text_key(text: str) -> str:
    """Return the normal form without apostrophes: what is alike in it is one text."""
    return key_of_normal(normalise_text(text))


def key_of_normal(text: str) -> str:
    """Return the `text_key` of a text in its normal form."""
    return text.replace("'", "")


def of_each(function: Callable[[str], T], texts: Sequence[str]) -> list[T]:
    """Return `function` of each text, computed once for those that are alike."""
    found = {text: function(text) for text in set(texts)}
    return [found[text] for text in texts]


def letters(text: str) -> str:
    """Return what of a text is heard: its letters and digits, normalised."""
    return text_key(text).replace(" ", "")


def written_words(text: str, words: Sequence[str]) -> list[str]:
    """Return what `text` writes for each of `words`, which joined are its normal form.

    The pieces, joined, are the text. What is not heard, such as a dash alone, goes with the word
    before it, or with the first.
    """
    ends = list(accumulate(len(letters(word)) for word in words))
    pieces: list[list[str]] = [[] for _ in words]
    at = 0
    for written in text.split():
        heard = letters(written)
        first = bisect_right(ends, at) if heard else bisect_left(ends, at)
        cuts = [end - at for end in ends[first : bisect_left(ends, at + len(heard))]]
        for i, piece in enumerate(_cut(written, heard, cuts), first):
            pieces[i].append(piece)
        at += len(heard)
    return [" ".join(parts) for parts in pieces]


def _cut(written: str, heard: str, cuts: Sequence[int]) -> Iterator[str]:
    """Cut a written word as what is heard of it is cut; punctuation stays with what it follows."""
    start = done = 0
    for cut in cuts:
        wanted, ends = heard[done:cut], range(len(written), start, -1)
        found = (end for end in ends if letters(written[start:end]) == wanted)
        end = next(found, len(written))  # one character may be several words
        yield written[start:end]
        start, done = end, cut
    yield written[start:]


def _audible(text: str) -> str:
    """Leave out zero-width characters, direction marks, soft hyphens and their like."""
    kinds = ("Cf", "Me")
    return "".join(c for c in text if c not in _SILENT and unicodedata.category(c) not in kinds)


def _heard(text: str) -> Iterator[str]:
    """Give each character that is heard or may join others, and spaces for the others."""
    inside = False  # a word, whose marks are heard with their letter
    for character in text:
        kind = unicodedata.category(character)
        inside = character.isalnum() or (inside and kind in ("Mn", "Mc"))
        if inside or character in "'./,":
            yield character
        else:
            yield f" {character} " if character in _SAID or kind == "Sc" else " "


_ASCII = {i: "".join(_heard(chr(i).translate(_TYPOGRAPHY))) for i in range(128)}
