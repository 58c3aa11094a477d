"""The plugin: says what it offers, and imports the model only when it is asked for."""

from __future__ import annotations

from audiomatch import MatcherInfo, hookimpl


@hookimpl
def audiomatch_matchers() -> list[MatcherInfo]:
    """Offer the matcher."""
    return [
        MatcherInfo(
            name="speaking-rate",
            summary="logistic regression on letters per second",
            load="audiomatch_speaking_rate.model:SpeakingRate",
            presets={"letters": {"spaces": False}},
        )
    ]
