"""Matcher `clap`: audio and text embeddings of a CLAP, compared."""

from __future__ import annotations

from typing import Any

from audiomatch import hookimpl
from audiomatch.matcher import MatcherInfo

__version__ = "0.2.0"

PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    "quick": {"steps": 100},
    "head": {"mode": "head"},
    "fine-tune": {"mode": "fine-tune"},
}


@hookimpl
def audiomatch_matchers() -> list[MatcherInfo]:
    """Offer `clap`."""
    return [
        MatcherInfo(
            name="clap",
            summary="CLAP: how near the audio's embedding is to the text's, calibrated",
            load="audiomatch_clap.matcher:ClapMatcher",
            presets=PRESETS,
        )
    ]
