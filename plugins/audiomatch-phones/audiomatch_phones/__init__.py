"""Matcher `phones`: how well the speech fits the phones of the text, by a small acoustic model.

A clip goes one way. `front_end` makes its features, `acoustics` scores every senone of the model
that `model_files` reads, and `loop` finds the free phones; `pronouncing` says the text (by
`letters` where CMUdict has a word not), `alignment` finds its phones in the clip, `evidence` their
goodness. `norms`, `features` and `head` make P(match) of it, `explaining` P(said). What stands
further down this list may import what stands above it. No torch.
"""

from __future__ import annotations

from audiomatch import hookimpl
from audiomatch.matcher import MatcherInfo, ReadyModel

__version__ = "0.2.0"


# Made by benchmarks/ready_phones.py: norms of phones and a logistic, fitted on real speech.
READY = ReadyModel(
    "audiomatch_phones:ready", "1dca104a6b9932bfca86752540faa43739010da37b35815194f6f7071aca51f9"
)


@hookimpl
def audiomatch_matchers() -> list[MatcherInfo]:
    """Offer `phones`."""
    return [
        MatcherInfo(
            name="phones",
            summary="goodness of pronunciation: how well the speech fits the text's phones",
            load="audiomatch_phones.matcher:PhonesMatcher",
            explains=True,
            member="default",
            ready=READY,
        )
    ]
