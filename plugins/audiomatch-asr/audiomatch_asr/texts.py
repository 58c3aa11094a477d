"""Texts as the tokens of a speech recogniser."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from audiomatch_torch import Tokens, tokens_of
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from audiomatch.errors import brief

Ids = NDArray[np.int64]


class Spelling(NamedTuple):
    """A text as tokens.

    Attributes:
        ids: of the tokens, int64 (u,).
        words: the place in the text of the word that each is of, int64 (u,).
        refused: why the text cannot be scored; empty where it can.
    """

    ids: Ids
    words: Ids
    refused: str


class Texts:
    """Cuts texts into tokens.

    Attributes:
        tokenizer: of transformers, one that tells offsets.
        longest: how many tokens a text may have.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, longest: int) -> None:
        self.tokenizer, self.longest = tokenizer, longest

    def spell(self, text: str) -> Spelling:
        """Return the tokens of a text in its normal form."""
        found = tokens_of(self.tokenizer, text)
        return Spelling(found.ids, found.words, self._refusal(text, found))

    def refused(self, text: str) -> str | None:
        """Say why a text cannot be scored, None where it can."""
        return self.spell(text).refused or None

    def _refusal(self, text: str, found: Tokens) -> str:
        held = np.array([character == " " for character in text])
        for token, (start, end) in zip(found.ids, found.spans, strict=True):
            held[start:end] |= token != self.tokenizer.unk_token_id
        if not held.all():
            place = text[: int(held.argmin())].count(" ")
            return f"the model of asr has no tokens for {brief(text.split()[place])}"
        if len(found.ids) > self.longest:
            return (
                f"the text is {len(found.ids)} tokens long; "
                f"the model of asr takes {self.longest} at most"
            )
        return ""
