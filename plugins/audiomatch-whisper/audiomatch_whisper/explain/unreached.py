"""Words that were never reached: nobody speaks, or the speech was over before them.

A Whisper completes sentences: given half of a text it expects the rest, and finds a place for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from audiomatch.explanation import Explanation, WordEvidence
from audiomatch.speech import CEILING, FRAME, THRESHOLD, hold_speech, speech_probabilities

FRAME_SECONDS = FRAME / 16_000
AROUND = 0.1  # seconds: attention and detector differ by so much
SHORTEST = 0.05  # seconds that a last word takes
A_LETTER = 0.03  # seconds more, a letter, that a word takes before such as took no time
# So much is left of P(said) of the first word that was not reached, and of those behind it, as
# speech that was cut off shows (benchmarks/results/localisation.md): attention is late.
FIRST = 0.4
BEHIND = 0.03


def speech_frames(samples: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return in which frames of the voice activity detector somebody speaks, (frames,).

    In none where too few of them are speech for somebody to have said anything.
    """
    frames = speech_probabilities(samples) > THRESHOLD
    return frames if hold_speech(frames.tolist()) else np.zeros_like(frames)


def lower_unreached(one: Explanation, frames: NDArray[np.bool_] | None) -> Explanation:
    """Return the explanation with a low P(said) for words that were not reached.

    Nothing was heard in their place: what a Whisper transcribes there it made up.

    Args:
        one: of a clip.
        frames: its `speech_frames`; None where the detector is not believed.
    """
    if frames is not None and not frames.any():
        words = (_lowered(word, min(word.probability, CEILING)) for word in one.words)
        return replace(one, words=(*words,), p_match=min(one.p_match, CEILING), heard="")
    spans = [(word.start, word.end) for word in one.words]
    reached = count_reached([word.word for word in one.words], spans, frames)
    lowered = (
        _lowered(word, word.probability * (BEHIND if i else FIRST))
        for i, word in enumerate(one.words[reached:])
    )
    return replace(one, words=(*one.words[:reached], *lowered))


def _lowered(word: WordEvidence, probability: float) -> WordEvidence:
    return replace(word, probability=probability, heard="")


def count_reached(
    words: Sequence[str], spans: Sequence[tuple[float, float]], frames: NDArray[np.bool_] | None
) -> int:
    """Return how many words come before the last ones, for which no or too little time was left.

    Args:
        words: of a text.
        spans: where in the clip each begins and ends, in seconds.
        frames: as of `lower_unreached`: a place where nobody speaks is no time for the last words.
    """
    spoken = [frames is None or _spoken(span, frames) for span in spans]
    seconds = [end - start for start, end in spans]
    count = len(words)
    while count and (seconds[count - 1] < SHORTEST or not spoken[count - 1]):
        count -= 1
    least = [SHORTEST + A_LETTER * len(word) for word in words]
    while 0 < count < len(words) and seconds[count - 1] < least[count - 1]:
        count -= 1
    return count


def _spoken(span: tuple[float, float], frames: NDArray[np.bool_]) -> bool:
    """Say whether somebody speaks from a second to another."""
    start, end = span
    first = int(max(0.0, start - AROUND) / FRAME_SECONDS)
    last = int((end + AROUND) / FRAME_SECONDS) + 1
    return bool(frames[first:last].any())
