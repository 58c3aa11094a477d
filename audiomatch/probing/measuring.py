"""From what was planted, and predictions of it, to behaviours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from audiomatch.probing.info import Expectation, Probe
from audiomatch.probing.planting import Planted
from audiomatch.probing.record import Expect
from audiomatch.records import Behaviour
from audiomatch.records.behaviour import Expected
from audiomatch.scoring.behaviours import THRESHOLD, behaviour_of


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
    found = []
    for probe in probes:
        name = probe.info.name
        if name not in {*planted.problems, *planted.missing}:
            rows, expectation = planted.probes == name, expected(probe.info.expectation, expect)
            own = p_match[rows], groups[rows]
            found.append(behaviour_of(matcher, name, expectation, *own, threshold))
    return found


def expected(expectation: Expectation, expect: Expect) -> Expected:
    """Return what is to become of a match where more than the text may be said, or may not."""
    if expectation == "more":
        return "stay" if expect == "contains" else "fall"
    return expectation
