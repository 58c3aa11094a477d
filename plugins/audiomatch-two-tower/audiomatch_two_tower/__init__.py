"""Matcher `two-tower`: an audio tower and a text tower, and a head that compares them."""

from __future__ import annotations

from typing import Any

from audiomatch import hookimpl
from audiomatch.matcher import MatcherInfo

__version__ = "0.2.0"

PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    "quick": {"epochs": 6},
    "transformer": {"audio": "transformer"},
    "tuned": {"audio": "transformer", "tune_audio": True, "tune_text": True, "epochs": 4},
}


@hookimpl
def audiomatch_matchers() -> list[MatcherInfo]:
    """Offer `two-tower`."""
    return [
        MatcherInfo(
            name="two-tower",
            summary="A CNN or speech transformer and a BERT, and a head over both embeddings",
            load="audiomatch_two_tower.matcher:TwoTowerMatcher",
            presets=PRESETS,
        )
    ]
