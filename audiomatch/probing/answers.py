"""What a probe is given: one answer, what it says, and the others that it may borrow from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from audiomatch.audio import load_clip
from audiomatch.clips import Clips
from audiomatch.level import active_level
from audiomatch.speech import speech_span
from audiomatch.text import letters

Samples = NDArray[np.float32]


class Others:
    """The answers beside which one stands: other recordings, and the words of their texts."""

    def __init__(self, matches: Clips) -> None:
        self._clips = matches.normalised()
        self._texts = self._clips.texts
        # As often as they are said: a rare word would be known by its rarity.
        self.words: Sequence[str] = sorted(word for text in self._texts for word in text.split())

    @cached_property
    def _sounds(self) -> list[str]:
        return self._clips.sounds

    def draw(self, text: str, rng: np.random.Generator) -> Answer | None:
        """Return an answer whose text has no part of `text` and is no part of it; None if none.

        What is drawn does not hang on the order of the rows, and mostly stays the same where a few
        others join or leave: the least of their hashes (rendezvous hashing, Thaler and Ravishankar,
        1998).
        """
        own, number, sounds = f" {text} ", rng.integers(2**63), self._sounds
        apart = [
            i
            for i, other in enumerate(self._texts)
            if f" {other} " not in own and own not in f" {other} "
            if letters(other) != letters(text)
        ]

        def drawn(i: int) -> bytes:
            content = f"{number}\0{self._texts[i]}\0{sounds[i]}"
            return hashlib.sha256(content.encode()).digest()

        return self.answer(min(apart, key=drawn)) if apart else None

    def word(self, rng: np.random.Generator, *, unlike: Sequence[str]) -> str | None:
        """Return a word of any text with other letters than each of `unlike`; None if none."""
        taken = {letters(word) for word in unlike}
        words = [word for word in self.words if letters(word) not in taken]
        return words[int(rng.integers(len(words)))] if words else None

    def answer(self, position: int) -> Answer:
        """Return one of the answers."""
        return Answer(load_clip(self._clips, position), self._texts[position], self)


@dataclass(frozen=True, eq=False)
class Answer:
    """A recording and the text that it is to say.

    Attributes:
        samples: float32 of shape (n,) at 16 kHz, full scale 1.
        text: in its normal form (`audiomatch.text.normalise_text`).
        others: the other matches of the same held-out part.
    """

    samples: Samples
    text: str
    others: Others

    @property
    def words(self) -> list[str]:
        """The words of the text."""
        return self.text.split()

    @cached_property
    def speech(self) -> tuple[int, int] | None:
        """The samples in which the speech begins and ends; None where no voice is heard."""
        return speech_span(self.samples)

    @cached_property
    def level(self) -> float:
        """Its active level, of 1 at full scale."""
        return active_level(self.samples)

    def sounding(self, samples: NDArray[np.floating]) -> Answer:
        """Return the answer with other samples, which are held to full scale."""
        return replace(self, samples=np.clip(samples, -1, 1).astype(np.float32))

    def saying(self, words: Sequence[str]) -> Answer | None:
        """Return the answer with other words to say; None where they have the same letters."""
        text = " ".join(words)
        return replace(self, text=text) if letters(text) != letters(self.text) else None
