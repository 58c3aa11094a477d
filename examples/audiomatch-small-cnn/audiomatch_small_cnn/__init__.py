"""The plugin: says what it offers, and imports torch only when the matcher is asked for."""

from __future__ import annotations

from audiomatch import MatcherInfo, hookimpl


@hookimpl
def audiomatch_matchers() -> list[MatcherInfo]:
    """Offer the matcher."""
    return [
        MatcherInfo(
            name="small-cnn",
            summary="convolutions over the spectrogram, and the characters of the text",
            load="audiomatch_small_cnn.matcher:SmallCnnMatcher",
            presets={"quick": {"epochs": 5}},
        )
    ]
