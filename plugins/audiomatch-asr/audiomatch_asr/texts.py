"""Texts as the tokens of a speech recogniser."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from audiomatch.errors import brief

Ids = NDArray[np.int64]


class Spelling(NamedTuple):
    """A text as tokens.

    Attributes:
        ids: of the tokens, int64 (u,).
        words: the place in the text of the word that each is of, int64 (u,).
        unknown: the first word with a character that no token holds; empty where there is none.
    """

    ids: Ids
    words: Ids
    unknown: str


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
        found = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        ids = np.array(found["input_ids"], dtype=np.int64)
        # A token ends in its word, or is the space before it.
        words = np.array([text[:end].count(" ") for _, end in found["offset_mapping"]], np.int64)
        held = np.array([character == " " for character in text])
        for token, (start, end) in zip(ids, found["offset_mapping"], strict=True):
            held[start:end] |= token != self.tokenizer.unk_token_id
        place = text[: int(held.argmin())].count(" ")
        return Spelling(ids, words, "" if held.all() else text.split()[place])

    def refused(self, text: str) -> str | None:
        """Say why a text cannot be scored, None where it can."""
        spelling = self.spell(text)
        if spelling.unknown:
            return f"the model of asr has no tokens for {brief(spelling.unknown)}"
        if len(spelling.ids) > self.longest:
            return (
                f"the text is {len(spelling.ids)} tokens long; "
                f"the model of asr takes {self.longest} at most"
            )
        return None
