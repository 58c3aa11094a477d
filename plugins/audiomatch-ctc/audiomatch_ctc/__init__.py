"""Matchers `ctc` and `hubert-ctc`: the CTC likelihood of the text against the best free path."""

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
PHONES: dict[str, dict[str, Any]] = {"phones": {"units": "phones"}}


@hookimpl
def audiomatch_matchers() -> list[MatcherInfo]:
    """Offer `ctc`, and the same that starts from a HuBERT."""
    return [
        MatcherInfo(
            name="ctc",
            summary="any CTC model, of letters, BPE or phones: likelihood of the text, fine-tuned",
            load="audiomatch_ctc.matcher:CTCMatcher",
            presets=PRESETS | PHONES,
            explains=True,
        ),
        MatcherInfo(
            name="hubert-ctc",
            summary="HuBERT, wav2vec 2.0 or WavLM: CTC likelihood of the text, fine-tuned",
            load="audiomatch_ctc.matcher:HubertCTCMatcher",
            presets=PRESETS,
            explains=True,
        ),
    ]
