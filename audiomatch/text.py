"""The one place that normalises text."""

from __future__ import annotations

import unicodedata


def normalise_text(text: str) -> str:
    """Return `text` in NFKC, lower case, without punctuation, with single spaces.

    Two clips whose texts normalise alike are in one group, so in one fold.
    """
    kept = (
        character if character.isalnum() or unicodedata.category(character).startswith("M") else " "
        for character in unicodedata.normalize("NFKC", text).casefold().replace("'", "")
    )
    return " ".join("".join(kept).split())


def letters(text: str) -> str:
    """Return what of a text is heard: its letters and digits, normalised."""
    return normalise_text(text).replace(" ", "").replace("'", "")
