"""The one calibration: from a matcher's logits to probabilities, by clips it was not trained on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiomatch.errors import brief

Vector = NDArray[np.float64]

# Standard deviation of the slope's prior, in standardised logits (Gelman et al., 2008).
SLOPE = 2.5
# Least slope, in standardised logits: the order is kept where nothing else is, at hardly any loss.
LEAST = 0.02
# Logits whose spread is this share of their size differ by rounding alone.
ROUNDING = 1e-6


@dataclass(frozen=True)
class Calibration:
    """P(match) = sigmoid(slope * logit + offset), with a slope that never turns the order round."""

    slope: float = 1.0
    offset: float = 0.0

    @classmethod
    def fit(
        cls,
        logits: NDArray[Any],
        labels: NDArray[Any],
        *,
        rate: float | None = None,
        choices: int = 0,
        groups: Sequence[Any] | NDArray[Any] | None = None,
        most: float = math.inf,
    ) -> Calibration:
        """Learn slope and offset on logits that training has not seen.

        The slope is that of a logistic regression (Platt, 1999) with a normal prior around 0, then
        multiplied by 1 - c / t^2, at least 0 (non-negative garrote: Breiman, 1995). t^2 is twice
        what it gains in log likelihood over the base rate. c is 1, and 2 more for each of `choices`
        (Akaike, 1974), times how much more the slope varies between `groups` than between clips
        (Liang and Zeger, 1986): a few texts make a matcher look good by luck, however many their
        clips. The offset lets the mean probability of these clips be their own rate of matches as
        far as the slope was kept, and `rate` for the rest. Where nothing is kept, the base rate
        remains, and the order.

        To scale or move all logits changes no probability.

        Args:
            logits: shape (n,), finite.
            labels: 0 or 1, shape (n,).
            rate: the rate of matches to be drawn to, that of the whole training part, strictly
                between 0 and 1; else that of `labels`.
            choices: how many numbers were chosen on the same clips, such as the best epoch.
            groups: what each clip shares with others, as its text, shape (n,); else nothing.
            most: the largest slope, before it is shrunk; 1 for log odds that are at least as far
                apart for other clips as for these.
        """
        x, y = np.asarray(logits, np.float64), np.asarray(labels, np.float64)
        own = float((y.sum() + 0.5) / (y.size + 1))  # inside (0, 1) with one class too
        mean, scale = float(x.mean()), float(x.std())
        rate = own if rate is None else rate
        if scale <= ROUNDING * max(abs(mean), 1e-12):
            return cls(0.0, float(logit(rate)))
        z = (x - mean) / scale
        slope, kept = _slope(z, y, choices, _codes(groups, y.size), most * scale)
        slope = max(slope * kept, LEAST)
        offset = offset_to(kept * own + (1 - kept) * rate, slope * z)
        return cls(slope / scale, offset - slope * mean / scale)

    def __call__(self, logits: NDArray[Any]) -> Vector:
        """Return the probability of each logit, float64 of the same shape."""
        z = self.slope * np.asarray(logits, np.float64) + self.offset
        return np.asarray(expit(z), np.float64)

    def logit_of(self, probability: float) -> float:
        """Return the logit of a probability in (0, 1); 0 where all logits have the same."""
        return float(logit(probability) - self.offset) / self.slope if self.slope else 0.0

    def to_json(self) -> dict[str, float]:
        """Return what `from_json` takes."""
        return {"slope": self.slope, "offset": self.offset}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Calibration:
        """Return what `to_json` was asked of; raises `ValueError` for anything else."""
        try:
            made = cls(float(content["slope"]), float(content["offset"]))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"not a calibration: {brief(content)}") from error
        if not (math.isfinite(made.slope) and math.isfinite(made.offset) and made.slope >= 0):
            raise ValueError(f"not a calibration: {brief(content)}")
        return made


def expit(x: Any) -> Any:
    """Return 1 / (1 + exp(-x)); to import scipy's takes as long as to score a clip."""
    return np.exp(-np.logaddexp(0, -x))


def logit(p: Any) -> Any:
    """Return log(p / (1 - p)) of p in (0, 1)."""
    return np.log(p) - np.log1p(-p)


def logits_of(p: NDArray[Any], smallest: float) -> Vector:
    """Return log odds of probabilities, kept `smallest` from 0 and 1 so that they are finite."""
    q = np.clip(np.asarray(p, np.float64), smallest, 1 - smallest)
    return np.asarray(np.log(q) - np.log1p(-q), np.float64)


def _slope(
    z: Vector, y: Vector, choices: int, groups: NDArray[np.int64], most: float
) -> tuple[float, float]:
    """Return the slope of standardised logits and how much of it to keep, 0 to 1."""
    from scipy.optimize import minimize  # a third of a second, which predicting has not

    share = float(y.mean())
    if not 0 < share < 1:
        return 0.0, 0.0

    def loss(at: Vector) -> tuple[float, Vector]:
        excess = expit(at[0] * z + at[1]) - y
        value = _log_loss(at[0] * z + at[1], y) + 0.5 * (at[0] / SLOPE) ** 2
        return value, np.array([excess @ z + at[0] / SLOPE**2, excess.sum()])

    level = float(logit(share))
    slope = min(float(minimize(loss, np.array([0.0, level]), jac=True, method="BFGS").x[0]), most)
    if slope <= 0:
        return 0.0, 0.0
    offset = offset_to(share, slope * z)
    p = expit(slope * z + offset)
    t_squared = 2 * (_log_loss(np.full(y.size, level), y) - _log_loss(slope * z + offset, y))
    if t_squared <= 0:
        return 0.0, 0.0
    scores = (z - np.average(z, weights=p * (1 - p))) * (y - p)
    scores -= scores.mean()  # without the pull of the prior, which is the same for every group
    count = int(groups.max()) + 1
    between = float(np.sum(np.bincount(groups, scores, minlength=count) ** 2))
    alone = float(np.sum(scores**2))
    differ = alone > ROUNDING * y.size
    effect = between / alone * count / max(count - 1, 1) if differ else 1.0
    cost = (1 + 2 * choices) * max(1.0, effect)
    return slope, max(0.0, 1.0 - cost / t_squared)


def offset_to(rate: float, logits: Vector) -> float:
    """Return what is to be added to logits for their mean probability to be `rate`, in (0, 1).

    Of the rate of matches it is the offset of greatest likelihood.
    """
    from scipy.optimize import brentq

    reach = float(np.abs(logits).max()) + abs(float(logit(rate))) + 1
    return float(brentq(lambda b: expit(logits + b).mean() - rate, -reach, reach))


def _log_loss(at: Vector, y: Vector) -> float:
    """Return the sum of the log loss of logits."""
    return float(np.sum(np.logaddexp(0, at) - y * at))


def _codes(groups: Sequence[Any] | NDArray[Any] | None, count: int) -> NDArray[np.int64]:
    if groups is None:
        return np.arange(count)
    return np.unique(np.asarray(groups, dtype=object), return_inverse=True)[1].reshape(-1)
