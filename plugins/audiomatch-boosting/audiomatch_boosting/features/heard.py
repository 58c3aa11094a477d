"""How far what was heard is from the text: word and character errors."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rapidfuzz.distance import Levenshtein

from audiomatch.text import text_key


def heard_features(text: str, heard: str) -> dict[str, float]:
    """Compare the expected text with a transcript, both by `text_key`; always finite.

    Rates are edits (Levenshtein, 1966) over the expected words or characters, or over 1 where the
    text has none. Characters are compared without the spaces: "some thing" is "something".
    """
    words, heard_words = text_key(text).split(), text_key(heard).split()
    letters, heard_letters = "".join(words), "".join(heard_words)
    out = {f"asr_word_{k}": v for k, v in _edits(words, heard_words).items()}
    out |= {f"asr_letter_{k}": v for k, v in _edits(letters, heard_letters).items()}
    return out | {
        "asr_exact": float(letters == heard_letters),
        "asr_heard_words": float(len(heard_words)),
        "asr_heard_letters": float(len(heard_letters)),
        "asr_words_ratio": math.log((len(heard_words) + 1) / (len(words) + 1)),
        "asr_letters_ratio": math.log((len(heard_letters) + 1) / (len(letters) + 1)),
    }


def _edits(expected: Sequence[str], heard: Sequence[str]) -> dict[str, float]:
    kinds = [edit.tag for edit in Levenshtein.editops(expected, heard)]
    return {
        "error_rate": len(kinds) / max(1, len(expected)),
        "substitutions": float(kinds.count("replace")),
        "deletions": float(kinds.count("delete")),
        "insertions": float(kinds.count("insert")),
    }
