"""From predictions of planted clips to behaviours."""

from __future__ import annotations

from typing import cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from audiomatch.records import Behaviour
from audiomatch.records.behaviour import Expected
from audiomatch.scoring.clusters import Clusters
from audiomatch.scoring.metrics import clip_losses
from audiomatch.scoring.shares import share_interval

THRESHOLD = 0.5


def behaviour_of(
    matcher: str,
    probe: str,
    expectation: Expected,
    p_match: NDArray[np.float64],
    groups: NDArray[np.object_],
    threshold: float = THRESHOLD,
) -> Behaviour:
    """Return what a probe shows of a matcher, by its P(match) of the planted clips, (n,).

    The interval is over `groups` (n,). A clip of which nothing is predicted (NaN) is left out.
    """
    known = ~np.isnan(p_match)
    p = p_match[known]
    share = share_interval(p >= threshold, Clusters(groups[known]))
    loss = None
    if len(p) and expectation != "report":
        loss = float(clip_losses(np.full(len(p), float(expectation == "stay")), p).mean())
    figures = {"n": len(p), "confirmed": share.value, "low": share.low, "high": share.high}
    return Behaviour(matcher=matcher, probe=probe, expectation=expectation, loss=loss, **figures)


def behaviours_of(planted: pd.DataFrame) -> tuple[Behaviour, ...]:
    """Return the behaviours of every matcher of `behaviours.parquet`, in its order."""
    parts = planted.groupby(["matcher", "probe", "expectation"], sort=False)
    return tuple(
        behaviour_of(
            str(matcher),
            str(probe),
            cast(Expected, expectation),
            rows["p_match"].to_numpy(np.float64),
            rows["group"].to_numpy(object),
        )
        for (matcher, probe, expectation), rows in parts
    )
