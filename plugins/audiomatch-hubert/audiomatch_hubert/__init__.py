"""Matcher `hubert-ctc`: the CTC likelihood of the expected text against the best free path."""

from __future__ import annotations

from typing import Any

from audiomatch import hookimpl
from audiomatch.matcher import MatcherInfo

__version__ = "0.2.0"

PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    "quick": {"freeze": "encoder", "ctc_epochs": 6, "epochs": 2},
    "scratch": {"weights": "scratch"},
}


@hookimpl
def audiomatch_matchers() -> list[MatcherInfo]:
    """Offer `hubert-ctc`."""
    return [
        MatcherInfo(
            name="hubert-ctc",
            summary="HuBERT, wav2vec 2.0 or WavLM: CTC likelihood of the text, fine-tuned",
            load="audiomatch_hubert.matcher:HubertCTCMatcher",
            presets=PRESETS,
        )
    ]
