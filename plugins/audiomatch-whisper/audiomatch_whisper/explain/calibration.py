"""How probable a word is, given its features: two logistics, fitted on texts that are wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from audiomatch.clips import Clips
from audiomatch.negatives import Kind, Wrong, WrongTexts
from audiomatch_whisper.score.head import Head

FEWEST = 8  # texts; of fewer matches some are taken again
ALWAYS = 20.0  # log odds of what is never otherwise


class Example(NamedTuple):
    """A text to calibrate with.

    Attributes:
        of: which of the texts that are said it is made of.
        text: the text.
        said: for each of its words whether the speech says it, 0 or 1.
        other: whether it is another text.
    """

    of: int
    text: str
    said: NDArray[np.int8]
    other: bool = False


class SaidHead(nn.Module):
    """P(said) of a text's words: P(the text was read) * P(the word was said, where it was).

    A word is judged after the words before it, as if these had been said. In another's sentence
    most words follow well from one another, so what is known of all of them is asked first. Words
    for which there was no time are not learned from: many are as probable as those that were said,
    which would then seem less so.

    Attributes:
        text: of the mean over words of their features.
        word: of the features of a word.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.text, self.word = Head(width), Head(width)

    def forward(self, features: Tensor) -> Tensor:
        """Features (words, width) of a text to float64 probabilities (words,), on the CPU."""
        read: Tensor = self.text(features.mean(0, keepdim=True)).cpu().double().sigmoid()
        said: Tensor = self.word(features).cpu().double().sigmoid()
        return read * said

    def fit(
        self,
        features: Sequence[NDArray[np.float64]],
        examples: Sequence[Example],
        reached: Sequence[int],
    ) -> None:
        """Fit both logistics.

        Args:
            features: of the words of each example, (words, width) each.
            examples: the texts.
            reached: for how many of the words of each there was time, by `count_reached`.
        """
        near = [i for i, one in enumerate(examples) if not one.other]
        said = [one.said for one in examples]
        _fit(
            self.word,
            np.concatenate([features[i][: reached[i]] for i in near]),
            np.concatenate([said[i][: reached[i]] for i in near]),
        )
        read = np.array([own.any() for own in said], dtype=np.int8)
        _fit(self.text, np.array([own.mean(0) for own in features]), read)


@torch.no_grad()
def _fit(head: Head, features: NDArray[np.float64], labels: NDArray[np.int8]) -> None:
    """Fit a logistic; where all labels are one, as of a single text, it always says that."""
    if len(np.unique(labels)) > 1:
        head.fit(features, labels)
        return
    head.linear.weight.zero_()
    head.linear.bias.fill_(ALWAYS if labels.all() else -ALWAYS)


def calibration_clips(train: Clips, maximum: int, seed: int) -> Clips:
    """Draw at most `maximum` of the clips that say their text."""
    matches = np.flatnonzero(train.labels == 1)
    drawn = np.random.default_rng(seed).permutation(matches)[:maximum]
    return train.take(np.sort(drawn)).unlabelled()


def calibration_examples(
    texts: Sequence[str], generator: np.random.Generator, fits: Callable[[str], bool]
) -> list[Example]:
    """Make two examples of each text that is said: one of words of it, and another text.

    Of every four of the former, two have a word replaced by another text's, one has such a word put
    in, and one stays as it is, as does one that would not be what `fits` asks for.
    """
    make = WrongTexts(texts)
    out = []
    for i, text in enumerate(texts):
        other = make.make_kind(Kind.SWAP, text, generator)
        if other.kind == Kind.SWAP and fits(other.text):
            nothing = np.zeros(len(other.text.split()), dtype=np.int8)
            out.append(Example(i, other.text, nothing, other=True))
        wrong: Wrong | None = None
        if i % 4 < 2:
            wrong = make.make_kind(Kind.REPLACE, text, generator)
        elif i % 4 == 2:
            wrong = make.make_kind(Kind.INSERT, text, generator)
        if wrong is None or wrong.word is None or not fits(wrong.text):
            out.append(Example(i, text, np.ones(len(text.split()), dtype=np.int8)))
            continue
        said = np.ones(len(wrong.text.split()), dtype=np.int8)
        said[wrong.word] = 0
        out.append(Example(i, wrong.text, said))
    return out
