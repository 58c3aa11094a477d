"""The options of `phones`."""

from __future__ import annotations

from pydantic import Field

from audiomatch.config import MatcherConfig


class PhonesConfig(MatcherConfig):
    """Options of `phones`."""

    explain_clips: int = Field(
        200, ge=1, le=100_000, description="Matches on which P(said) of explain is calibrated."
    )
