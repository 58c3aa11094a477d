"""Other spellings of what the words of a text sound like, as tokens."""

from __future__ import annotations

from functools import lru_cache

from audiomatch.pronunciations import homophones
from audiomatch_whisper.text.tokenizer import Ids, WhisperTokenizer
from audiomatch_whisper.text.words import TokenizedText

MOST = 6  # other spellings of a word; what CMUdict has beyond are rare names


class Speller:
    """Finds the spellings of English words that sound the same."""

    def __init__(self, tokenizer: WhisperTokenizer, room: int) -> None:
        """`room` is how many tokens of a text the decoder holds."""
        self._tokenizer, self._room = tokenizer, room
        self._of_word = lru_cache(maxsize=1 << 14)(self._find)

    def __call__(self, text: TokenizedText) -> tuple[tuple[Ids, ...], ...]:
        """Return for each word its commonest other spellings.

        Nothing for a text that might not be held in another spelling.
        """
        own = [text.ids[text.span(i)] for i in range(len(text.words))]
        found = tuple(
            tuple(ids for ids in self._of_word(word) if ids != written)
            for word, written in zip(text.words, own, strict=True)
        )
        longest = (max(map(len, (ids, *others))) for ids, others in zip(own, found, strict=True))
        return found if sum(longest) <= self._room else ()

    def _find(self, word: str) -> list[Ids]:
        encode = self._tokenizer.tokenizer.encode
        alike = homophones(word.lower())
        spelled = [tuple(encode(f" {one}", add_special_tokens=False).ids) for one in alike]
        # The ids of a byte-pair vocabulary are in the order of how common its tokens were.
        return sorted(spelled, key=lambda ids: (len(ids), max(ids)))[:MOST]
