"""Words that cannot have been said: nobody speaks, or the speech was over before them.

A Whisper completes sentences: given half of a text it expects the rest, and finds a place for it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from audiomatch.explanation import Explanation, WordEvidence
from audiomatch.speech import CEILING, FRAME, THRESHOLD, hold_speech, speech_probabilities

FRAME_SECONDS = FRAME / 16_000
AROUND = 0.1  # seconds: attention and detector differ by so much
SHORTEST = 0.05  # seconds that a last word takes
A_LETTER = 0.03  # seconds more, a letter, that a word takes before such as took no time


def speech_frames(samples: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return in which frames of the voice activity detector somebody speaks, (frames,)."""
    return speech_probabilities(samples) > THRESHOLD


def lower_unsaid(one: Explanation, frames: NDArray[np.bool_] | None) -> Explanation:
    """Return the explanation with a low P(said) for words that cannot have been said.

    Nothing was heard in their place: what a Whisper transcribes there it made up.

    Args:
        one: of a clip.
        frames: its `speech_frames`; None where the detector is not believed.
    """
    silent = frames is not None and not hold_speech(frames.tolist())
    reached = _reached(one.words)
    words = tuple(
        word
        if i < reached and not silent and (frames is None or _spoken(word, frames))
        else replace(word, probability=min(word.probability, CEILING), heard="")
        for i, word in enumerate(one.words)
    )
    if not silent:
        return replace(one, words=words)
    return replace(one, words=words, p_match=min(one.p_match, CEILING), heard="")


def _reached(words: tuple[WordEvidence, ...]) -> int:
    """Return how many words come before the last ones, for which no or too little time was left."""
    seconds = [word.end - word.start for word in words]
    count = len(words)
    while count and seconds[count - 1] < SHORTEST:
        count -= 1
    least = [SHORTEST + A_LETTER * len(word.word) for word in words]
    while 0 < count < len(words) and seconds[count - 1] < least[count - 1]:
        count -= 1
    return count


def _spoken(word: WordEvidence, frames: NDArray[np.bool_]) -> bool:
    """Say whether somebody speaks where the word is."""
    first = int(max(0.0, word.start - AROUND) / FRAME_SECONDS)
    last = int((word.end + AROUND) / FRAME_SECONDS) + 1
    return bool(frames[first:last].any())
