"""Texts as characters."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping

from audiomatch_ctc.units import Spelling


class Alphabet:
    """Characters and the word delimiter of a CTC vocabulary, in whichever case it has them."""

    def __init__(self, vocabulary: Mapping[str, int], delimiter: str | None) -> None:
        """`vocabulary` maps tokens to ids; only single characters are used."""
        self.ids = {token: i for token, i in vocabulary.items() if len(token) == 1}
        self.delimiter = self.ids.pop(delimiter, None) if delimiter else None
        self.delimiter = self.ids.pop(" ", None) if self.delimiter is None else self.delimiter
        self.names = {i: token for token, i in self.ids.items()}

    @property
    def letters(self) -> int:
        """How many letters it knows."""
        return sum(character.isalpha() for character in self.ids)

    def encode(self, text: str) -> Spelling:
        """Return the text's known characters, words parted by the delimiter.

        A character of a normal form is taken as it is, else in upper case, else by what Unicode's
        compatible decomposition leaves of it without its marks. What is still unknown (digits,
        other scripts) is left out; so the result may be empty.
        """
        return Spelling.of([[*self._word(word)] for word in text.split()], self.delimiter)

    def joined(self, ids: Iterable[int]) -> str:
        """Return the characters as a text."""
        written = "".join(" " if i == self.delimiter else self.names.get(i, "") for i in ids)
        return " ".join(written.split()).lower()

    def _word(self, word: str) -> Iterable[int]:
        for character in word:
            found = self._known(character)
            if not found:
                plain = unicodedata.normalize("NFKD", character)
                found = [i for piece in plain for i in self._known(piece)]
            yield from found

    def _known(self, character: str) -> list[int]:
        for form in (character, character.upper()):
            ids = [self.ids.get(one) for one in form]
            if ids and None not in ids:
                return [i for i in ids if i is not None]
        return []
