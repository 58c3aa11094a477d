"""Words that sound alike: CMUdict and word frequencies of English, as pocketsphinx has them."""

from __future__ import annotations

import functools
import importlib.util
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from audiomatch.errors import UserError
from audiomatch.hookspecs import DISTRIBUTION
from audiomatch.pronunciations import dictionary
from audiomatch.text import letters, normalise_text

COMMON = -5.7  # log10 of a word's share of running text: the commonest 15,000 or so
# What is written alike and said in two ways: which of them a text means is not known.
TWO_WAYS = (
    "bass",
    "bow",
    "close",
    "dove",
    "lead",
    "live",
    "read",
    "row",
    "sow",
    "tear",
    "wind",
    "wound",
)
SHORTEST = 3  # letters of a word that takes an ending
# What -s and -ed sound like behind a word.
ENDINGS = {"s": ("S", "Z", "IH Z", "AH Z"), "ed": ("T", "D", "IH D", "AH D")}


class Lexicon:
    """Pronunciations of words, and how common they are.

    Words that sound alike do so as they are mostly said, by their first pronunciations.

    Args:
        pronunciations: of each word all that it has, as phones with spaces between, no stress.
        frequency: log10 of a word's share of running text.
    """

    def __init__(
        self, pronunciations: Mapping[str, Sequence[str]], frequency: Callable[[str], float]
    ) -> None:
        self._sounds = {word: sounds[0] for word, sounds in pronunciations.items()}
        self._every = pronunciations
        self._frequency = frequency
        self._words: dict[str, list[str]] = {}
        for word, sound in self._sounds.items():
            self._words.setdefault(sound, []).append(word)
        self._phones = sorted({phone for sound in self._words for phone in sound.split()})

    @staticmethod
    @functools.cache
    def installed() -> Lexicon:
        """Return that of pocketsphinx; raises `UserError` where it is not installed."""
        if importlib.util.find_spec("pocketsphinx") is None:
            raise UserError(f"needs a lexicon: pip install '{DISTRIBUTION}[probe]'")
        import pocketsphinx

        model = str(Path(pocketsphinx.get_model_path()) / "en-us" / "en-us.lm.bin")
        logs = pocketsphinx.LogMath()
        words = pocketsphinx.NGramModel(pocketsphinx.Config(lm=model), logs, model)
        return Lexicon(
            dictionary(),
            lambda word: logs.log_to_ln(words.prob([word])) / math.log(10),
        )

    def homophones(self, word: str) -> list[str]:
        """Return common words with other letters that sound the same."""
        alike = self._words.get(self._sounds.get(word, ""), ())
        return [other for other in self._common(word, alike) if {word, other}.isdisjoint(TWO_WAYS)]

    def minimal_pairs(self, word: str) -> list[str]:
        """Return common words that differ in one phone, and have no pronunciation in common."""
        phones, own = self._sounds.get(word, "").split(), set(self._every.get(word, ()))
        found = [
            other
            for i in range(len(phones))
            for phone in self._phones
            for other in self._words.get(" ".join([*phones[:i], phone, *phones[i + 1 :]]), ())
            if own.isdisjoint(self._every[other])
        ]
        return self._common(word, found)

    def with_ending(self, word: str) -> list[str]:
        """Return what this word is with an s or ed that is heard."""
        longer = (word + ending for ending in ("s", "es", "ed", "d"))
        return self._common(word, [other for other in longer if self._extends(other, word)])

    def without_ending(self, word: str) -> list[str]:
        """Return what this word is without the s or ed that is heard in it."""
        shorter = (word.removesuffix(ending) for ending in ("s", "es", "ed", "d"))
        return self._common(word, [other for other in shorter if self._extends(word, other)])

    def _extends(self, longer: str, word: str) -> bool:
        if len(word) < SHORTEST or word not in self._sounds or longer not in self._sounds:
            return False
        endings = ENDINGS["s" if longer.endswith("s") else "ed"]
        return self._sounds[longer] in [f"{self._sounds[word]} {end}" for end in endings]

    def _common(self, word: str, found: Iterable[str]) -> list[str]:
        """Return the common words among those found; names of letters are none."""
        apart = {other for other in found if letters(other) != letters(word)}
        words = (other for other in apart if normalise_text(other) == other and len(other) > 1)
        return sorted(other for other in words if self._frequency(other) >= COMMON)
