"""Matcher `whisper`: how probable a fine-tuned Whisper finds the expected text, given the speech.

A clip goes one way. `sound` makes its log-mel spectrogram, `text` tokenizes its expected text, and
`net` runs Whisper's encoder and decoder on both. `score` makes features of the log probabilities of
the text's tokens, and of the features the logit of match; its `Pipeline` is the way from clips to
logits that training (`train`), predicting and explaining (`explain`) share. `matcher` ties them
together, `config` holds the options, and `backbone` is the face for other plugins. What stands
further down this list may import what stands above it, never the other way round: `config`; `text`
and `sound`; `net`; `score`; `train`, `explain` and `backbone`; `matcher`.
"""

from __future__ import annotations

from typing import Any

from audiomatch import hookimpl
from audiomatch.matcher import Flag, MatcherInfo, ReadyModel, Untrained

__version__ = "0.2.0"

PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    # The fine-tune that took first place in DrivenData's challenge "Goodnight Moon, Hello Early
    # Literacy Screening" (private log loss 0.204, the mean of six of them).
    "baseline": {
        "score": "same-position",
        "prompt": "four",
        "pad": "30s",
        "encoder_layers": "all",
        "bf16": "never",
        "embeddings": "trained",
        "epochs": 2,
        "batch_size": 128,
        "order": "shuffle",
    },
}

# Made by benchmarks/ready.py: the logistics, fitted on real speech, of an untrained tiny.en. The
# log loss is that of the recipe in benchmarks/results/so762.md, speakers held out.
READY = ReadyModel(
    "audiomatch_whisper:ready",
    "fe3be02a30e9c63520ab7f178a6bb6897b1371cb743045309ec716d4f29f76fd",
    log_loss=0.168,
)


@hookimpl
def audiomatch_matchers() -> list[MatcherInfo]:
    """Offer `whisper`."""
    return [
        MatcherInfo(
            name="whisper",
            summary="Whisper, fine-tuned: how well the decoder expects the text, given the speech",
            load="audiomatch_whisper.matcher:WhisperMatcher",
            presets=PRESETS,
            renamed_presets={"seed": "baseline", "quick": "default"},
            explains=True,
            member="default",
            flags=(
                Flag(
                    name="warm-up",
                    option="transcribe_first",
                    metavar="DATA",
                    help="Transcribed data that whisper learns to transcribe first.",
                ),
            ),
            ready=READY,
            untrained=Untrained({"epochs": "0"}, same=("size", "weights", "language")),
        )
    ]
