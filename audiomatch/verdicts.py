"""From P(match) to what a screener does: match, mismatch, or listen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from audiomatch.errors import UserError
from audiomatch.records import Thresholds

Verdict = Literal["match", "mismatch", "listen", "no speech"]
LISTEN_COST = 0.05


def thresholds(listen_cost: float = LISTEN_COST) -> Thresholds:
    """Return the thresholds of least expected cost, for probabilities that are calibrated.

    A wrong verdict costs 1, listening to the clip `listen_cost` (Chow, 1970, "On optimum
    recognition error and reject tradeoff"): a verdict is given where it is wrong with a probability
    under that. Raises `UserError` unless it is between 0 and 0.5.
    """
    if not 0 < listen_cost <= 0.5:
        raise UserError(f"listen_cost {listen_cost}: must be over 0 and at most 0.5")
    return Thresholds(mismatch=listen_cost, match=1 - listen_cost, listen_cost=listen_cost)


def give_verdicts(
    p_match: NDArray[np.float64], silent: Sequence[bool] | NDArray[np.bool_], at: Thresholds
) -> list[Verdict]:
    """Return the verdict on each clip; `silent` says which hold no speech."""
    return [
        "no speech" if quiet
        else "match" if p >= at.match
        else "mismatch" if p <= at.mismatch
        else "listen"
        for p, quiet in zip(p_match, silent, strict=True)
    ]  # fmt: skip
