"""Logits to probabilities, learned on clips that training has not seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize
from scipy.special import entr, expit, logit

from audiomatch.calibration import Calibration

# Twice the gain in log likelihood that chance may give the best of some epochs.
CHANCE = 3.0
LEAST = 0.02


def calibrate(logits: NDArray[np.float64], labels: NDArray[np.int8], rate: float) -> Calibration:
    """Learn slope and intercept on held-out `logits`, drawn towards the base rate.

    The slope has a standard normal prior around 1. It is then multiplied by 1 - `CHANCE` / G,
    where G is twice what it gains in log likelihood over none, as the non-negative garrote
    shrinks by t² (Breiman, 1995): a few clips, from which the best epoch was picked too,
    easily show an order that is not there. The order is kept even where nothing is left of
    it, at a slope that hardly counts.

    Args:
        logits: shape (n,).
        labels: 0 or 1, shape (n,).
        rate: the rate of matches in the whole training part, strictly between 0 and 1.
    """
    sign = 2.0 * labels - 1

    def loss(at: NDArray[np.float64]) -> float:
        margins = sign * (at[0] * logits + at[1])
        return float(np.logaddexp(0, -margins).sum() + 0.5 * (at[0] - 1) ** 2)

    kept = slope = 0.0
    own = float(labels.mean())
    if 0 < own < 1:
        slope, intercept = minimize(loss, [1.0, 0.0], method="BFGS").x
        found = np.logaddexp(0, -sign * (slope * logits + intercept)).sum()
        gain = 2 * (float(entr([own, 1 - own]).sum()) * len(labels) - float(found))
        if slope > 0 and gain > CHANCE:
            kept = 1 - CHANCE / gain
    slope = max(kept * float(slope), LEAST / max(float(logits.std()), 1e-6))
    wanted = kept * own + (1 - kept) * rate
    reach = float(np.abs(slope * logits).max()) + abs(float(logit(wanted))) + 1
    intercept = brentq(lambda b: expit(slope * logits + b).mean() - wanted, -reach, reach)
    return Calibration(slope, float(intercept))
