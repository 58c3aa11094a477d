"""How well the size and sounds of a text agree with those of the audio."""

from __future__ import annotations

import math
from collections.abc import Mapping

LEAST_SPEECH = 0.1  # seconds; keeps rates finite where no speech was found


def agreement_features(audio: Mapping[str, float], text: Mapping[str, float]) -> dict[str, float]:
    """Return rates against speech activity, and sounds found less sounds asked for.

    Takes what `audio_features` and `text_features` gave for one clip.
    """
    speech = max(audio["speech_seconds"], LEAST_SPEECH)
    syllables, phonemes = text["text_syllables"], text["text_phonemes"]
    sibilants = text["text_share_sibilant"] * phonemes
    voiced = text["text_share_vowel"] + text["text_share_nasal"] + text["text_share_approximant"]
    return {
        "syllable_rate": syllables / speech,
        "phoneme_rate": phonemes / speech,
        "log_phoneme_rate": math.log((phonemes + 1) / speech),
        "word_rate": text["text_words"] / speech,
        "span_phoneme_rate": phonemes / max(audio["speech_span"], LEAST_SPEECH),
        "clip_phoneme_rate": phonemes / max(audio["seconds"], LEAST_SPEECH),
        "nuclei_less_syllables": audio["nuclei"] - syllables,
        "nuclei_to_syllables": math.log((audio["nuclei"] + 1) / (syllables + 1)),
        "stretches_less_words": audio["stretches"] - text["text_words"],
        "hisses_less_sibilants": audio["hiss_count"] - sibilants,
        "hiss_share_less_sibilant_share": audio["hiss_share"] - text["text_share_sibilant"],
        "hiss_start_less_asked": audio["hiss_start"] - text["text_starts_sibilant"],
        "hiss_end_less_asked": audio["hiss_end"] - text["text_ends_sibilant"],
        "voiced_share_less_asked": audio["voiced_share"] - voiced,
    }
