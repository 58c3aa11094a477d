"""Texts as the units that a CTC model writes: characters, pieces of words, or phones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]


class Spelling(NamedTuple):
    """A text as units.

    Attributes:
        ids: of the units, int64 (u,); empty where none of the text can be written.
        words: the place in the text of the word that each is of, -1 between words, int64 (u,).
    """

    ids: Ids
    words: Ids

    @classmethod
    def of(cls, words: Iterable[Sequence[int]], delimiter: int | None = None) -> Spelling:
        """Join the units of each word of a text, those with any parted by `delimiter`."""
        ids: list[int] = []
        places: list[int] = []
        for place, own in enumerate(words):
            if ids and len(own) and delimiter is not None:
                ids.append(delimiter)
                places.append(-1)
            ids.extend(own)
            places.extend([place] * len(own))
        return cls(np.array(ids, dtype=np.int64), np.array(places, dtype=np.int64))

    def left_out(self, text: str) -> list[str]:
        """Return the words of its text that have no unit."""
        return [w for i, w in enumerate(text.split()) if not (self.words == i).any()]


class Units(Protocol):
    """What a CTC model writes.

    Attributes:
        names: of each id that a text may hold.
    """

    names: dict[int, str]

    def encode(self, text: str) -> Spelling:
        """Return the units of a text in its normal form; what it cannot write is left out."""

    def joined(self, ids: Iterable[int]) -> str:
        """Return units as people read them."""
