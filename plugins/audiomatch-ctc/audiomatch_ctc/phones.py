"""Texts as phones, in the symbols that a model was trained on.

Words are said as `phones` says them (`audiomatch_phones`): by CMUdict, else by their letters, in
ARPAbet without stress. A model writes ARPAbet too, in upper or lower case, or the
symbols of the IPA as espeak writes American English (Xu, Baevski and Auli, 2021), or other symbols
of the IPA that stand for the same phones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest

from audiomatch_phones.pronouncing import pronunciations

from audiomatch.errors import WeightsError
from audiomatch_ctc.units import Spelling

# By phone, what may stand for it: symbols, the likeliest first, as several where they are apart.
_IPA = {
    "AA": "ɑː|ɑ|a", "AE": "æ|a", "AH": "ʌ|ə|ɐ", "AO": "ɔː|ɔ|ɑː|ɑ", "AW": "aʊ|a ʊ", "AY": "aɪ|a ɪ",
    "B": "b", "CH": "tʃ|t͡ʃ|ʧ|t ʃ", "D": "d", "DH": "ð", "EH": "ɛ|e", "ER": "ɜː|ɝ|ɚ|ɜ|ə ɹ|ə r",
    "EY": "eɪ|e ɪ|e", "F": "f", "G": "ɡ|g", "HH": "h", "IH": "ɪ", "IY": "iː|i",
    "JH": "dʒ|d͡ʒ|ʤ|d ʒ", "K": "k", "L": "l", "M": "m", "N": "n", "NG": "ŋ", "OW": "oʊ|o ʊ|o",
    "OY": "ɔɪ|ɔ ɪ", "P": "p", "R": "ɹ|r", "S": "s", "SH": "ʃ", "T": "t", "TH": "θ", "UH": "ʊ",
    "UW": "uː|u", "V": "v", "W": "w", "Y": "j", "Z": "z", "ZH": "ʒ",
}  # fmt: skip
ARPABET = tuple(_IPA)
# Vowels of syllables that are not the only one of their word, and so often without stress.
_REDUCED = {"AH": "ə|ɐ|ʌ", "ER": "ɚ|ə ɹ|ə r|ɝ|ɜː|ɜ"}
# What espeak writes as one symbol.
_RHOTIC = {"AA": "ɑːɹ", "AO": "ɔːɹ", "EH": "ɛɹ", "IH": "ɪɹ", "UH": "ʊɹ"}
# TIMIT's 39 classes have no symbol of their own for these.
_MERGED = {"AO": "AA", "ZH": "SH"}
_VOWELS = frozenset("AEIOU")


class Phones:
    """The phones of the words of a text, by their usual pronunciation."""

    def __init__(self, vocabulary: Mapping[str, int], name: str) -> None:
        """Map each phone; raises `WeightsError` with `name` for those that have no unit."""
        self._ids = vocabulary
        self.names = {i: token for token, i in vocabulary.items() if not token.startswith("<")}
        self._said = _symbols(vocabulary)
        missing = [phone for phone in ARPABET if not self._units(self._said[phone])]
        if missing:
            raise WeightsError(
                f"{name}: its vocabulary has no unit for the phones {', '.join(missing)} (ARPAbet) "
                "of English; take a model that writes English phones"
            )

    def encode(self, text: str) -> Spelling:
        """Return the phones of the text; a word of another script is left out."""
        ways = [pronunciations(word) for word in text.lower().split()]
        return Spelling.of([self._word(way[0]) if way else [] for way in ways])

    def joined(self, ids: Iterable[int]) -> str:
        """Return the phones with spaces between."""
        return " ".join(self.names[i] for i in ids if i in self.names)

    def _word(self, sound: Sequence[str]) -> list[int]:
        several = sum(phone[0] in _VOWELS for phone in sound) > 1
        out: list[int] = []
        skip = False
        for phone, after in zip_longest(sound, sound[1:]):
            whole = self._units(_RHOTIC.get(phone, "")) if after == "R" else []
            if skip:
                skip = False
            elif whole:
                out, skip = out + whole, True
            else:
                out += self._units(self._said[f"{phone} reduced" if several else phone])
        return out

    def _units(self, symbols: str) -> list[int]:
        """Return the first of the symbols that the vocabulary has."""
        for one in symbols.split("|"):
            ids = [self._ids.get(part) for part in one.split()]
            if ids and None not in ids:
                return [i for i in ids if i is not None]
        return []


def writes_phones(vocabulary: Mapping[str, int]) -> bool:
    """Whether a vocabulary is one of phones, whatever its tokenizer is called."""
    marks = ({"AA", "IY"}, {"aa", "iy"}, {"ŋ", "ʃ", "θ"})
    return any(some <= set(vocabulary) for some in marks)


def _symbols(vocabulary: Mapping[str, int]) -> dict[str, str]:
    """Return what may stand for each phone, and for it in a word of several syllables."""
    if {"AA", "IY"} <= set(vocabulary) or {"aa", "iy"} <= set(vocabulary):
        form = str.upper if "AA" in vocabulary else str.lower
        said = {p: "|".join([form(p), form(_MERGED.get(p, p))]) for p in ARPABET}
        return said | {f"{phone} reduced": own for phone, own in said.items()}
    return _IPA | {f"{phone} reduced": _REDUCED.get(phone, own) for phone, own in _IPA.items()}
