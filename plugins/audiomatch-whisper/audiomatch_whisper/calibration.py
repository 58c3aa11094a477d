"""Texts that are wrong in one known word, to learn how probable a word is from its evidence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from audiomatch.clips import Clips
from audiomatch_whisper.words import bare

FEWEST = 8
# Words to put in where the training texts have too few of their own.
SPARE = ("apple", "window", "seven", "under", "morning", "quickly", "brother", "yellow")


def matches_to_calibrate_on(train: Clips, most: int, seed: int) -> Clips:
    """Draw at most `most` of the clips that say their text."""
    matches = np.flatnonzero(train.labels == 1)
    drawn = np.random.default_rng(seed).permutation(matches)[:most]
    return train.take(np.sort(drawn)).unlabelled()


def wrong_texts(
    texts: Sequence[str], generator: np.random.Generator
) -> list[tuple[str, NDArray[np.int8]]]:
    """Make a text to calibrate with of each text, and say which of its words are right (1).

    Of every four, two have a word replaced by another text's, one has such a word put in, and one
    stays as it is.
    """
    pool = sorted({word for text in texts for word in text.split() if bare(word)} | set(SPARE))
    out = []
    for i, text in enumerate(texts):
        words = text.split()
        at = int(generator.integers(len(words)))
        other = words[at]
        while bare(other) == bare(words[at]):
            other = pool[int(generator.integers(len(pool)))]
        right = np.ones(len(words), dtype=np.int8)
        if i % 4 < 2:
            words[at], right[at] = other, 0
        elif i % 4 == 2:
            words.insert(at, other)
            right = np.insert(right, at, np.int8(0))
        out.append((" ".join(words), right))
    return out
