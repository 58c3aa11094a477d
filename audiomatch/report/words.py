"""What a run folder knows of the words of its clips."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from audiomatch.errors import DataWarning
from audiomatch.explanation import Explanation, WordEvidence
from audiomatch.explanation.colours import colour_of, ink_on

EXPLANATIONS = "explanations.jsonl"


def read_words(folder: Path) -> dict[str, Explanation]:
    """Return the explanations that a run folder has, by the clips' ids; empty where it has none.

    They are what `audiomatch explain MODEL DATA --out RUN/explanations.jsonl` writes. A file that
    is anything else is a warning, and gives none.
    """
    file = folder / EXPLANATIONS
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
        reader = TypeAdapter(Explanation)
        found = [reader.validate_json(line) for line in lines if line]
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, ValidationError):
        line = f"{file}: is not what `audiomatch explain --out` writes; left out of the report"
        warnings.warn(line, DataWarning, stacklevel=2)
        return {}
    return {one.id: one for one in found}


def words_of(one: Explanation) -> dict[str, Any]:
    """Return what the page's script shows of an explanation."""
    return {
        "heard": one.heard,
        "words": [
            {
                "word": word.word,
                "p": round(word.probability, 3),
                "at": f"{word.start:.2f}–{word.end:.2f} s",
                "heard": _heard(word),
                "back": (back := colour_of(word.probability)),
                "ink": ink_on(back),
            }
            for word in one.words
        ],
    }


def _heard(word: WordEvidence) -> str | None:
    """Return what was heard in place of a word, empty for nothing; None where it was the word."""
    return "" if word.outcome == "nothing" else word.instead or None
