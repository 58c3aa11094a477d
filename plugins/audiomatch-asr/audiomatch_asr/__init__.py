"""Matcher `asr`: how likely a speech recogniser that is not trained finds the expected text.

`families` reads a `recogniser` (`moonshine`, `qwen3_asr`), which gives the log probabilities of the
tokens that `texts` cuts; `evidence` makes numbers of these, `scoring` those of every clip, `head` a
logit of them.
"""

from __future__ import annotations

from audiomatch import hookimpl
from audiomatch.matcher import MatcherInfo

__version__ = "0.2.0"


@hookimpl
def audiomatch_matchers() -> list[MatcherInfo]:
    """Offer `asr`."""
    return [
        MatcherInfo(
            name="asr",
            summary="a Moonshine or Qwen3-ASR as it is: log probability of the text given speech",
            load="audiomatch_asr.matcher:ASRMatcher",
        )
    ]
