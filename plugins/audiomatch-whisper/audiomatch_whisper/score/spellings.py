"""The sum over spellings that sound the same, word by word.

A word is as probable as all its spellings together, each after the text before it. One that has a
single token needs no state of its own: what the decoder expects after the text before the word
says how probable it is. One of several tokens is a short branch of the prefix tree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from audiomatch_whisper.net.prefix_tree import PrefixTree
from audiomatch_whisper.text.tokenizer import Ids

CERTAIN = 1e-6  # nats; below, a word's log probability is as good as 0


class OtherSpelling(NamedTuple):
    """Another spelling of a word of a target.

    Attributes:
        target: the number of the target.
        word: the number of the word in it.
        place: its number among the spellings of the word, from 1; 0 is the one that is written.
        sequence: the number of a sequence of the tree on whose path it is read.
        start: how many tokens are read before it.
        ids: its tokens.
    """

    target: int
    word: int
    place: int
    sequence: int
    start: int
    ids: Ids


@dataclass(frozen=True)
class SpellingBatch:
    """Other spellings of the words of n targets, stacked.

    Attributes:
        tokens: those of all spellings, (t,).
        before: the node after which each token is expected, (t,).
        spelling: the spelling that each belongs to, (t,).
        place: of each spelling in `shape`, flat.
        shape: (n, words, 1 + most of a word).
    """

    tokens: Tensor
    before: Tensor
    spelling: Tensor
    place: Tensor
    shape: tuple[int, int, int]

    @classmethod
    def of(
        cls, others: Sequence[OtherSpelling], tree: PrefixTree, targets: int, words: int
    ) -> SpellingBatch | None:
        """Stack them, on the CPU as the tree is; None where there are none."""
        if not others:
            return None
        shape = (targets, words, 1 + max(one.place for one in others))
        counts = [len(one.ids) for one in others]
        tokens = [
            (token, one.sequence, one.start - 1 + i)
            for one in others
            for i, token in enumerate(one.ids)
        ]
        at = np.ravel_multi_index(np.array([one[:3] for one in others]).T, shape)
        token, sequence, column = torch.tensor(tokens).T
        return cls(
            tokens=token,
            before=tree.paths[sequence, column],
            spelling=torch.from_numpy(np.repeat(np.arange(len(others)), counts)),
            place=torch.from_numpy(at),
            shape=shape,
        )

    def log_p(self, written: Tensor, tokens: Tensor) -> Tensor:
        """Return the log probability of each spelling of each word, of `shape`; -inf where none is.

        Args:
            written: log probability of each word as it is written, (n, words).
            tokens: that of each token of the other spellings, (t,).
        """
        each = tokens.new_zeros(len(self.place)).index_add(0, self.spelling, tokens)
        others = tokens.new_full(self.shape, -torch.inf).flatten()
        others = others.index_copy(0, self.place, each).view(self.shape)
        return torch.cat([written[:, :, None], others[:, :, 1:]], 2)


def spread(log_p: Tensor, words: Tensor, written: Tensor, total: Tensor) -> Tensor:
    """Share out what other spellings add to a word among its tokens, in proportion: (n, maximum).

    Args:
        log_p: log probability of each token, (n, maximum).
        words: the word of each, (n, maximum).
        written: of each word as it is written, (n, words).
        total: of each word in all its spellings, (n, words).
    """
    # A spelling that begins another (in, inn) is counted in that too: the sum may exceed 1.
    share = total.clamp(max=0) / written.clamp(max=-CERTAIN)
    share = torch.where(written < -CERTAIN, share, 1.0)
    return log_p * share.gather(1, words)
