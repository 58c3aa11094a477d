"""From P(match) to what a screener does: match, mismatch, or listen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from audiomatch.decisions import two_thresholds
from audiomatch.errors import UserError
from audiomatch.records import HeldOut, Thresholds

Verdict = Literal["match", "mismatch", "listen", "no speech"]
LISTEN_COST = 0.05


def thresholds(
    listen_cost: float = LISTEN_COST, target_precision: float | None = None
) -> Thresholds:
    """Return the thresholds of least expected cost, for probabilities that are calibrated.

    A wrong verdict costs 1, listening to the clip `listen_cost` (Chow, 1970, "On optimum
    recognition error and reject tradeoff"): a verdict is given where it is wrong with a probability
    under that. Raises `UserError` unless it is between 0 and 0.5, and for a `target_precision`, of
    `thresholds_at_precision`, that is none or is given too.
    """
    if target_precision is not None and listen_cost != LISTEN_COST:
        raise UserError("listen_cost and target_precision both choose the thresholds; give one")
    if target_precision is not None and not 0.5 < target_precision <= 1:
        raise UserError(f"target_precision {target_precision}: must be over 0.5 and at most 1")
    if not 0 < listen_cost <= 0.5:
        raise UserError(f"listen_cost {listen_cost}: must be over 0 and at most 0.5")
    return Thresholds(mismatch=listen_cost, match=1 - listen_cost, listen_cost=listen_cost)


def thresholds_at_precision(
    p_match: NDArray[np.float64], labels: NDArray[np.int8], target: float, folds: int
) -> Thresholds:
    """Return the thresholds of `two_thresholds`, with what they came to on these clips."""
    mismatch, match = map(float, two_thresholds(p_match, labels, target))
    said = give_verdicts(
        p_match, np.zeros(len(labels), dtype=bool), Thresholds(mismatch=mismatch, match=match)
    )
    shares = {}
    for verdict, label in (("match", 1), ("mismatch", 0)):
        given = np.array([one == verdict for one in said])
        right = int((labels[given] == label).sum())
        shares[f"{verdict}_precision"] = right / int(given.sum()) if given.any() else None
        shares[f"{verdict}_recall"] = right / int((labels == label).sum())
    held_out = HeldOut(target_precision=target, folds=folds, clips=len(labels), **shares)
    return Thresholds(mismatch=mismatch, match=match, held_out=held_out)


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
