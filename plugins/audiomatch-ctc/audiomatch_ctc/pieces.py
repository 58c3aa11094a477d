"""Texts as pieces of words (BPE, unigrams), by the model's own tokenizer."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from audiomatch_torch import tokens_of
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
        found = tokens_of(self._tokenizer, text)
        known = np.array([i in self.names for i in found.ids.tolist()], bool)
        return Spelling(found.ids[known], found.words[known])
