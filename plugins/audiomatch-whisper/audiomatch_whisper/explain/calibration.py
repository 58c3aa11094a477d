"""How probable a word is, given its features: a logistic fitted on texts wrong in a known word."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audiomatch.clips import Clips
from audiomatch.negatives import Kind, Wrong, WrongTexts

FEWEST = 8  # texts; of fewer matches some are taken again


class Example(NamedTuple):
    """A text to calibrate with.

    Attributes:
        text: the text.
        said: for each of its words whether the speech says it, 0 or 1.
    """

    text: str
    said: NDArray[np.int8]


def calibration_clips(train: Clips, maximum: int, seed: int) -> Clips:
    """Draw at most `maximum` of the clips that say their text."""
    matches = np.flatnonzero(train.labels == 1)
    drawn = np.random.default_rng(seed).permutation(matches)[:maximum]
    return train.take(np.sort(drawn)).unlabelled()


def calibration_examples(
    texts: Sequence[str], generator: np.random.Generator, fits: Callable[[str], bool]
) -> list[Example]:
    """Make an example of each text that is said.

    Of every four, two have a word replaced by another text's, one has such a word put in, and one
    stays as it is, as does one that would not be what `fits` asks for.
    """
    make = WrongTexts(texts)
    out = []
    for i, text in enumerate(texts):
        wrong: Wrong | None = None
        if i % 4 < 2:
            wrong = make.make_kind(Kind.REPLACE, text, generator)
        elif i % 4 == 2:
            wrong = make.make_kind(Kind.INSERT, text, generator)
        if wrong is None or wrong.word is None or not fits(wrong.text):
            out.append(Example(text, np.ones(len(text.split()), dtype=np.int8)))
            continue
        said = np.ones(len(wrong.text.split()), dtype=np.int8)
        said[wrong.word] = 0
        out.append(Example(wrong.text, said))
    return out
