"""Texts as pieces of words (BPE, unigrams), by the model's own tokenizer."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from transformers import PreTrainedTokenizerBase

from audiomatch_ctc.units import Spelling


class Pieces:
    """The pieces that a tokenizer cuts a text into, in whichever case it knows it."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        special = set(tokenizer.all_special_ids)
        vocabulary = tokenizer.get_vocab()
        self.names = {i: token for token, i in vocabulary.items() if i not in special}

    def encode(self, text: str) -> Spelling:
        """Return the text's pieces, without those that the tokenizer does not know."""
        forms = [self._pieces(form) for form in (text, text.upper())]
        return max(forms, key=lambda one: len(set(one.words)))  # the first where both know all

    def joined(self, ids: Iterable[int]) -> str:
        """Return the pieces as a text."""
        known = [i for i in ids if i in self.names]
        tokens = self._tokenizer.convert_ids_to_tokens(known)
        return str(self._tokenizer.convert_tokens_to_string(tokens)).strip().lower()

    def _pieces(self, text: str) -> Spelling:
        found = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        # A piece ends in its word, or is the space before it.
        ends = [end for _, end in found["offset_mapping"]]
        pairs = zip(found["input_ids"], (text[:end].count(" ") for end in ends), strict=True)
        kept = [pair for pair in pairs if pair[0] in self.names]
        both = np.array(kept, dtype=np.int64).reshape(-1, 2)
        return Spelling(both[:, 0], both[:, 1])
