"""Which texts hold a word that is not in the lexicon of English."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiomatch.text import normalise_text


def with_nonword(texts: Sequence[str]) -> NDArray[np.bool_]:
    """Return which texts hold a word that the English list of pyspellchecker does not know.

    That is 160,000 words with their forms; names may be missing. Numbers count as known.
    """
    words = [normalise_text(text).split() for text in texts]
    unknown = _lexicon().unknown({word for text in words for word in text})
    return np.array([not unknown.isdisjoint(text) for text in words], dtype=bool)


@cache
def _lexicon() -> Any:
    from spellchecker import SpellChecker

    return SpellChecker(distance=1)
