"""The tokens of a Whisper's vocabulary: which begin a word, and with what letters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from audiomatch.text import letters
from audiomatch_whisper.text.tokenizer import WhisperTokenizer

CANDIDATES = 12  # likeliest tokens among which one begins another word


class Vocabulary:
    """Which ids begin a word, and the letters of each."""

    def __init__(self, tokenizer: WhisperTokenizer) -> None:
        """Look at every id once."""
        names = [tokenizer.tokenizer.id_to_token(i) or "" for i in range(tokenizer.end)]
        self.letters = _letters_of(names, tokenizer)
        starts = np.array([name.startswith("Ġ") for name in names])
        voiced = np.array([bool(one) for one in self.letters])
        # In a vocabulary of bytes no token is both a space and a letter.
        begins = starts & voiced if (starts & voiced).any() else starts
        self._begins = torch.from_numpy(np.flatnonzero(begins))
        self._continues = voiced & ~starts

    def continues(self, token: int) -> bool:
        """Say whether a token goes on with the word before it."""
        return token < len(self._continues) and bool(self._continues[token])

    def likeliest_starts(self, log_p: Tensor) -> list[list[tuple[int, float]]]:
        """Return tokens that begin a word with their `log_p`, (n, vocabulary), likeliest first."""
        begins = self._begins.to(log_p.device)
        best = log_p[:, begins].topk(min(CANDIDATES, len(begins)), dim=1)
        ids, values = begins[best.indices].tolist(), best.values.tolist()
        return [list(zip(*row, strict=True)) for row in zip(ids, values, strict=True)]

    def begin_another(
        self, starts: Sequence[tuple[int, float]], spellings: Sequence[str]
    ) -> tuple[int, float]:
        """Return the first of `starts` that begins another word, or the first of all.

        A start that one of the word's own `spellings` has too, in whatever case, is no other.
        """
        own = tuple(map(letters, spellings))
        others = (s for s in starts if not any(o.startswith(self.letters[s[0]]) for o in own))
        return next(others, starts[0])


def _letters_of(names: Sequence[str], tokenizer: WhisperTokenizer) -> list[str]:
    """Return the letters of each id by its name, in which Ġ is a space and ASCII itself."""
    texts = [name.replace("Ġ", " ") for name in names]
    others = [i for i, text in enumerate(texts) if not text.isascii()]
    decoded = tokenizer.tokenizer.decode_batch([[i] for i in others])
    for i, text in zip(others, decoded, strict=True):
        texts[i] = text
    stripped = (text.strip() for text in texts)
    return [
        text.lower() if text.isascii() and text.isalpha() else letters(text) for text in stripped
    ]
