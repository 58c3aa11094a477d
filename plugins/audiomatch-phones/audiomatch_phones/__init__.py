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


# Made by benchmarks/ready_phones.py: norms of phones and a logistic, fitted on real speech. The log
# loss is that of the recipe in benchmarks/results/phones.md, speakers held out.
READY = ReadyModel(
    "audiomatch_phones:ready",
    "64f0b62ae134a07c4b3d4e4b7728a19c25543dc3cb47eea19745c90ab54c0e22",
    log_loss=0.406,
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
