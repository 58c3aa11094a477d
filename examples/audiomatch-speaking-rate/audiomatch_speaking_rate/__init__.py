"""The plugin: says what it offers, and imports the model only when it is asked for."""

from __future__ import annotations

from audiomatch import Matcher, MatcherInfo, hookimpl


def load() -> type[Matcher]:
    """Import the model code."""
    from audiomatch_speaking_rate.model import SpeakingRate

    return SpeakingRate


@hookimpl
def audiomatch_matchers() -> list[MatcherInfo]:
    """Offer the matcher."""
    return [
        MatcherInfo(
            name="speaking-rate",
            summary="logistic regression on letters per second",
            load=load,
            presets={"letters": {"spaces": False}},
        )
    ]
