"""A text as words and tokens, and the words of a transcript beside those of a text."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from audiomatch.text import letters
from audiomatch_whisper.text.tokenizer import WhisperTokenizer


@dataclass(frozen=True)
class TokenizedText:
    """A text as words and tokens, both in its order.

    Attributes:
        words: what whitespace separates, with its punctuation.
        ids: the ids of the text's tokens, without prompt and end.
        pieces: the characters of each token; those of a word's tokens, joined, are the word. A
            token that ends inside a character has none.
        first: for each word the place in `ids` of its first token.
    """

    words: tuple[str, ...]
    ids: tuple[int, ...]
    pieces: tuple[str, ...]
    first: tuple[int, ...]

    @classmethod
    def of(cls, text: str, tokenizer: WhisperTokenizer) -> TokenizedText:
        """Tokenize by the offsets that the tokenizer gives: no byte or character is guessed.

        A token belongs to the word that holds its last character; whitespace goes with what
        follows.
        """
        plain = f" {text.strip()}"
        words = list(re.finditer(r"\S+", plain))
        ends = [word.end() for word in words]
        encoded = tokenizer.tokenizer.encode(plain, add_special_tokens=False)
        pieces: list[str] = []
        first = [-1] * len(words)
        done = 0
        for i, (_, end) in enumerate(encoded.offsets):
            pieces.append("".join(plain[done:end].split()) if end > done else "")
            done = max(done, end)
            word = min(bisect_right(ends, max(done - 1, 0)), len(words) - 1)
            if first[word] < 0:
                first[word] = i
        return cls(
            words=tuple(word.group() for word in words),
            ids=tuple(encoded.ids),
            pieces=tuple(pieces),
            first=tuple(first),
        )

    def span(self, word: int) -> slice:
        """Return the places in `ids` of a word's tokens."""
        end = self.first[word + 1] if word + 1 < len(self.first) else len(self.ids)
        return slice(self.first[word], end)

    @cached_property
    def word_of_token(self) -> NDArray[np.int64]:
        """The number of the word that each token belongs to, (tokens,)."""
        counts = np.diff([*self.first, len(self.ids)])
        return np.repeat(np.arange(len(self.words)), counts)


def align_words(expected: Sequence[str], heard: Sequence[str]) -> list[str]:
    """Give each expected word what was heard in its place, by the least edits (Levenshtein, 1966).

    Words that were heard beside go with the next expected one, or with the last. The parts, joined,
    are `heard`.
    """
    a, b = [letters(w) for w in expected], [letters(w) for w in heard]
    cost = [[float(i + j) for j in range(len(b) + 1)] for i in range(len(a) + 1)]
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            change = _substitution(a[i - 1], b[j - 1])
            cost[i][j] = min(
                cost[i - 1][j - 1] + change, cost[i - 1][j] + 1.0, cost[i][j - 1] + 1.0
            )
    parts: list[list[str]] = [[] for _ in expected]
    i, j = len(a), len(b)
    while j:
        change = _substitution(a[i - 1], b[j - 1]) if i else 0.0
        if i and cost[i][j] == cost[i - 1][j - 1] + change:
            i, j = i - 1, j - 1
            parts[i].insert(0, heard[j])
        elif i and cost[i][j] == cost[i - 1][j] + 1.0:
            i -= 1
        else:
            j -= 1
            parts[min(i, len(parts) - 1)].insert(0, heard[j])
    return [" ".join(part) for part in parts]


def similarity(one: str, other: str) -> float:
    """Return how alike the letters of two words are, from 0 to 1 (Ratcliff and Metzener, 1988)."""
    return SequenceMatcher(None, one, other).ratio()


def _substitution(one: str, other: str) -> float:
    """Return the cost of one word for another: of several equal alignments the likelier wins."""
    return 0.0 if one == other else 1.0 + 0.5 * (1.0 - similarity(one, other))
