"""How a word that is in no dictionary may be said: a joint n-gram of letters and phones.

A word is a chain of graphones, each a letter with the phones (none, one or two) that it stands for.
The model is of their n-grams in CMUdict (Bisani and Ney, 2008), with absolute discounting, made by
`benchmarks/letter_to_sound.py`.
"""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Any

FILE = "letters.npz"
EDGE = ("", "")  # before the first letter
ORDER = 5
DISCOUNT = 0.6
BEAM = 40
Graphone = tuple[str, str]  # a letter, and its phones with spaces between


class LetterModel:
    """Says words by an n-gram of graphones.

    Attributes:
        counts: how often each graphone followed each context, by context: the graphones before it,
            none up to `ORDER - 1` of them.
    """

    def __init__(self, counts: Mapping[tuple[Graphone, ...], Mapping[Graphone, int]]) -> None:
        self.counts = counts
        self._totals = {context: sum(own.values()) for context, own in counts.items()}
        self._of_letter: dict[str, list[Graphone]] = {}
        for graphone in sorted(counts[()]):
            self._of_letter.setdefault(graphone[0], []).append(graphone)

    def __contains__(self, letter: str) -> bool:
        return letter in self._of_letter

    def pronounce(self, word: str, most: int = 1) -> list[tuple[str, ...]]:
        """Return up to `most` ways to say a word of known letters, the most probable first."""
        paths: list[tuple[float, tuple[Graphone, ...]]] = [(0.0, (EDGE,))]
        for letter in word:
            longer = [
                (score + math.log(self.probability(graphone, path)), (*path, graphone))
                for score, path in paths
                for graphone in self._of_letter[letter]
            ]
            paths = sorted(longer, key=lambda one: -one[0])[:BEAM]
        ended = [(score + math.log(self.probability(EDGE, path)), path) for score, path in paths]
        found: dict[tuple[str, ...], None] = {}
        for _, path in sorted(ended, key=lambda one: -one[0]):
            phones = tuple(" ".join(sound for _, sound in path).split())
            if phones:
                found.setdefault(phones)
        return list(found)[:most]

    def probability(self, graphone: Graphone, path: Sequence[Graphone]) -> float:
        """Return the probability of a graphone after a path."""
        p = 1 / (len(self.counts[()]) + 1)
        for length in range(ORDER):
            context = tuple(path[len(path) - length :]) if length <= len(path) else None
            own = self.counts.get(context) if context is not None else None
            if own is None:
                break
            assert context is not None
            total = self._totals[context]
            seen = max(own.get(graphone, 0) - DISCOUNT, 0.0) / total
            p = seen + DISCOUNT * len(own) / total * p
        return p

    def to_arrays(self) -> dict[str, Any]:
        """Return what `from_arrays` takes: n-grams in order, as a tree."""
        import numpy as np

        names = sorted({g for own in self.counts.values() for g in own} | {EDGE})
        number = {graphone: i for i, graphone in enumerate(names)}
        contexts = sorted(self.counts, key=lambda c: (len(c), c))
        place = {context: i for i, context in enumerate(contexts)}
        return {
            "graphones": np.frombuffer(json.dumps(names).encode(), np.uint8),
            # A context is a shorter one, without its first graphone, and that graphone.
            "shorter": np.array([place[c[1:]] for c in contexts if c], np.uint32),
            "first": np.array([number[c[0]] for c in contexts if c], np.uint16),
            "sizes": np.array([len(self.counts[c]) for c in contexts], np.uint16),
            "next": np.array([number[g] for c in contexts for g in self.counts[c]], np.uint16),
            "counts": np.array([n for c in contexts for n in self.counts[c].values()], np.uint32),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> LetterModel:
        """Return what `to_arrays` was asked of."""
        names = [(g[0], g[1]) for g in json.loads(bytes(arrays["graphones"]))]
        contexts: list[tuple[Graphone, ...]] = [()]
        for shorter, first in zip(
            arrays["shorter"].tolist(), arrays["first"].tolist(), strict=True
        ):
            contexts.append((names[first], *contexts[shorter]))
        following = zip(arrays["next"].tolist(), arrays["counts"].tolist(), strict=True)
        counts = {}
        for context, size in zip(contexts, arrays["sizes"].tolist(), strict=True):
            counts[context] = {names[i]: n for i, n in _take(following, size)}
        return cls(counts)


def _take(pairs: Iterator[tuple[int, int]], count: int) -> Iterator[tuple[int, int]]:
    return (next(pairs) for _ in range(count))


@lru_cache(maxsize=1)
def letter_model() -> LetterModel:
    """Return the model that the package carries."""
    import numpy as np

    with files(__package__).joinpath(FILE).open("rb") as file, np.load(file) as arrays:
        return LetterModel.from_arrays(arrays)


def plain_letters(word: str) -> str:
    """Return the letters a to z of a word, without their accents."""
    parts = unicodedata.normalize("NFKD", word)
    return "".join(c for c in parts if c in "abcdefghijklmnopqrstuvwxyz")
