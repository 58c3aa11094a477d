"""From predictions of planted clips to behaviours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from audiomatch.probing.info import Expectation, Probe
from audiomatch.probing.planting import Planted
from audiomatch.probing.record import Expect
from audiomatch.records import Behaviour
from audiomatch.scoring.clusters import Clusters
from audiomatch.scoring.metrics import clip_losses
from audiomatch.scoring.shares import share_interval

THRESHOLD = 0.5


def behaviours(
    matcher: str,
    planted: Planted,
    p_match: NDArray[np.float64],
    probes: Sequence[Probe],
    expect: Expect = "exact",
    threshold: float = THRESHOLD,
) -> list[Behaviour]:
    """Return what each probe shows of a matcher, by its P(match) of the planted clips, (n,).

    Intervals are over the groups of the clips. A clip of which nothing is predicted (NaN) is left
    out. Probes that failed have no behaviour.
    """
    groups = np.array(planted.clips.groups, dtype=object)
    gone = {*planted.problems, *planted.missing}
    found = []
    for probe in probes:
        name, expectation = probe.info.name, expected(probe.info.expectation, expect)
        if name in gone:
            continue
        rows = np.flatnonzero((planted.probes == name) & ~np.isnan(p_match))
        p = p_match[rows]
        share = share_interval(p >= threshold, Clusters(groups[rows]))
        loss = None
        if len(rows) and expectation != "report":
            loss = float(clip_losses(np.full(len(p), float(expectation == "stay")), p).mean())
        figures = {"n": len(rows), "confirmed": share.value, "low": share.low, "high": share.high}
        found.append(
            Behaviour(matcher=matcher, probe=name, expectation=expectation, loss=loss, **figures)
        )
    return found


def expected(expectation: Expectation, expect: Expect) -> Literal["stay", "fall", "report"]:
    """Return what is to become of a match where more than the text may be said, or may not."""
    if expectation == "more":
        return "stay" if expect == "contains" else "fall"
    return expectation
