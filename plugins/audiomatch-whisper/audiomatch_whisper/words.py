"""Which tokens make up which word."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from audiomatch_whisper.tokens import TextEncoder


@dataclass(frozen=True)
class SpokenText:
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

    def span(self, word: int) -> slice:
        """Return the places in `ids` of a word's tokens."""
        end = self.first[word + 1] if word + 1 < len(self.first) else len(self.ids)
        return slice(self.first[word], end)


def spoken_text(text: str, encoder: TextEncoder) -> SpokenText:
    """Take a text apart by the offsets that the tokenizer gives: no byte or character is guessed.

    A token belongs to the word that holds its last character; whitespace goes with what follows.
    """
    plain = f" {text.strip()}"
    found = list(re.finditer(r"\S+", plain))
    ends = [word.end() for word in found]
    encoded = encoder.tokenizer.encode(plain, add_special_tokens=False)
    pieces: list[str] = []
    first = [-1] * len(found)
    done = 0
    for i, (_, end) in enumerate(encoded.offsets):
        pieces.append("".join(plain[done:end].split()) if end > done else "")
        done = max(done, end)
        word = min(bisect_right(ends, max(done - 1, 0)), len(found) - 1)
        if first[word] < 0:
            first[word] = i
    return SpokenText(
        tuple(word.group() for word in found), tuple(encoded.ids), tuple(pieces), tuple(first)
    )


def bare(word: str) -> str:
    """Return what of a word is heard: its letters and digits, in lower case."""
    return "".join(c for c in word.casefold() if c.isalnum())


def pair(expected: Sequence[str], heard: Sequence[str]) -> list[str]:
    """Give each expected word what was heard in its place, by the least edits (Levenshtein, 1966).

    Words that were heard beside go with the next expected one, or with the last. The parts, joined,
    are `heard`.
    """
    a, b = [bare(w) for w in expected], [bare(w) for w in heard]
    cost = [[float(i + j) for j in range(len(b) + 1)] for i in range(len(a) + 1)]
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            change = 0.0 if a[i - 1] == b[j - 1] else 1.0 + 0.5 * _apart(a[i - 1], b[j - 1])
            cost[i][j] = min(
                cost[i - 1][j - 1] + change, cost[i - 1][j] + 1.0, cost[i][j - 1] + 1.0
            )
    parts: list[list[str]] = [[] for _ in expected]
    i, j = len(a), len(b)
    while j:
        change = 0.0
        if i:
            change = 0.0 if a[i - 1] == b[j - 1] else 1.0 + 0.5 * _apart(a[i - 1], b[j - 1])
        if i and cost[i][j] == cost[i - 1][j - 1] + change:
            i, j = i - 1, j - 1
            parts[i].insert(0, heard[j])
        elif i and cost[i][j] == cost[i - 1][j] + 1.0:
            i -= 1
        else:
            j -= 1
            parts[min(i, len(parts) - 1)].insert(0, heard[j])
    return [" ".join(part) for part in parts]


def _apart(one: str, other: str) -> float:
    """Return how unlike two words are, from 0 to 1: of several equal alignments the likelier."""
    from difflib import SequenceMatcher

    return 1.0 - SequenceMatcher(None, one, other).ratio()
