"""How many texts of a corpus are wrong, by calibrated probabilities alone.

Saerens, Latinne and Decaestecker (2002), "Adjusting the outputs of a classifier to new a priori
probabilities": what a classifier says is right for the share of matches that it was fitted on; on a
corpus with another share, that share and the probabilities are found in turn, by expectation
maximisation. It presumes that the clips of a class sound as those did that were learned from.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from audiomatch.calibration import expit, logit

Vector = NDArray[np.float64]

STEPS = 1000
CLOSE = 1e-7
CLIP = 1e-12
RESAMPLES = 200
ENDS = (0.025, 0.975)


@dataclass(frozen=True)
class Estimate:
    """A share with its 95 % interval over clips."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class CorpusEstimates:
    """What calibrated probabilities say of a corpus with a share of matches of its own.

    Attributes:
        p: P(match) of each clip by the model, (n,).
        fitted_rate: the share of matches that the model was fitted on.
        seed: of the resamples.
    """

    p: Vector
    fitted_rate: float
    seed: int = 0

    @cached_property
    def rate(self) -> float:
        """The share of matches in the corpus."""
        return _rate(self.p, self.fitted_rate, np.ones(len(self.p)))

    @cached_property
    def adapted(self) -> Vector:
        """P(match) of each clip in this corpus, (n,)."""
        return _adapted(self.p, self.fitted_rate, self.rate)

    def wrong(self) -> Estimate:
        """Estimate the share of clips that do not say their text."""
        found = self.matches_among(np.ones(len(self.p), dtype=bool))
        return Estimate(1 - found.value, 1 - found.high, 1 - found.low)

    def matches_among(self, chosen: NDArray[np.bool_]) -> Estimate:
        """Estimate the share of matches among the clips `chosen`, a mask (n,), not all False."""
        value = float(self.adapted[chosen].mean())
        shares = [
            np.average(_adapted(self.p, self.fitted_rate, rate)[chosen], weights=weights[chosen])
            for weights, rate in self._resamples
            if weights[chosen].any()
        ]
        low, high = np.quantile(shares, ENDS)
        return Estimate(value, float(low), float(high))

    @cached_property
    def _resamples(self) -> list[tuple[Vector, float]]:
        """How often each clip is drawn in each resample of the clips, and its share of matches."""
        generator, n = np.random.default_rng(self.seed), len(self.p)
        drawn = [np.bincount(generator.integers(n, size=n), minlength=n).astype(np.float64)
                 for _ in range(RESAMPLES)]  # fmt: skip
        return [(weights, _rate(self.p, self.fitted_rate, weights)) for weights in drawn]


def _adapted(p: Vector, fitted_rate: float, rate: float) -> Vector:
    """Return what `p` is where the share of matches is `rate`, not `fitted_rate`."""
    moved = logit(np.clip(rate, CLIP, 1 - CLIP)) - logit(fitted_rate)
    return np.asarray(expit(logit(np.clip(p, CLIP, 1 - CLIP)) + moved))


def _rate(p: Vector, fitted_rate: float, weights: Vector) -> float:
    """Return the share of matches with which the adapted probabilities agree."""
    rate = fitted_rate
    for _ in range(STEPS):
        before, rate = rate, float(np.average(_adapted(p, fitted_rate, rate), weights=weights))
        if abs(rate - before) < CLOSE:
            break
    return rate
