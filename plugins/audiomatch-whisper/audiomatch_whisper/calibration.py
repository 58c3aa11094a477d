"""Texts that are wrong in one known word, to learn how probable a word is from its evidence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from audiomatch.clips import Clips
from audiomatch_whisper.wrong_texts import Wrong, WrongTexts

FEWEST = 8


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
    make = WrongTexts(texts)
    out = []
    for i, text in enumerate(texts):
        wrong = Wrong(text, -1, -1)
        if i % 4 < 2:
            wrong = make.replace(text, generator)
        elif i % 4 == 2:
            wrong = make.put_in(text, generator)
        right = np.ones(len(wrong.text.split()), dtype=np.int8)
        if wrong.word >= 0:
            right[wrong.word] = 0
        out.append((wrong.text, right))
    return out
