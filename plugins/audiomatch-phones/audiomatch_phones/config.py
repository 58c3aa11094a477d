"""The options of `phones`."""

from __future__ import annotations

from pydantic import Field

from audiomatch.config import MatcherConfig
from audiomatch_phones.pronouncing import Letters


class PhonesConfig(MatcherConfig):
    """Options of `phones`."""

    explain_clips: int = Field(
        200, ge=1, le=100_000, description="Matches on which P(said) of explain is calibrated."
    )
    letters: Letters = Field(
        "own",
        description="Who says a word that is in no dictionary by its letters. own: the package's "
        "model of letters, in its three most probable ways; espeak: the rules of eSpeak NG for "
        "American English, in one way; it needs audiomatch-phones[espeak], which is under the GPL.",
    )
