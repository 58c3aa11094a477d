"""How good and how long each phone is where it is said right: what a phone is compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiomatch_phones.evidence import PHONES, Evidence

Vector = NDArray[np.float64]
PRIOR = 10.0  # phones: how many of its own outweigh what all phones have in common
LEAST = -4.0  # standard scores below it are alike: the phone is not there


@dataclass(frozen=True)
class Norms:
    """Means and spreads of each phone.

    Attributes:
        mean: of the goodness and of the log of the frames, (39, 4).
        spread: their standard deviations, (39, 4).
    """

    mean: Vector
    spread: Vector

    @classmethod
    def of(cls, right: Sequence[Evidence]) -> Norms:
        """Learn from clips that say their text; means and spreads of rare phones lean on all."""
        phone = np.concatenate([one.phone[one.frames > 0] for one in right])
        values = np.concatenate([_values(one)[one.frames > 0] for one in right])
        if not len(phone):
            return cls(np.zeros((len(PHONES), 4)), np.ones((len(PHONES), 4)))
        count = np.bincount(phone, minlength=len(PHONES))[:, None] + PRIOR
        mean = (_sums(phone, values) + PRIOR * values.mean(axis=0)) / count
        squares = _sums(phone, (values - mean[phone]) ** 2)
        spread = np.sqrt((squares + PRIOR * values.var(axis=0)) / count)
        return cls(mean, np.maximum(spread, 0.05))

    def standard(self, one: Evidence) -> Vector:
        """Return standard scores of goodness and duration, (phones, 4)."""
        z = (_values(one) - self.mean[one.phone]) / self.spread[one.phone]
        return np.asarray(np.clip(z, LEAST, -LEAST))

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` takes."""
        return {"mean": self.mean.tolist(), "spread": self.spread.tolist()}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Norms:
        """Return what `to_json` was asked of; raises `ValueError` for anything else."""
        made = cls(np.array(content["mean"], np.float64), np.array(content["spread"], np.float64))
        shape = (len(PHONES), 4)
        if made.mean.shape != shape or made.spread.shape != shape or not (made.spread > 0).all():
            raise ValueError("no norms of phones")
        return made


def _values(one: Evidence) -> Vector:
    return np.column_stack([one.goodness, np.log(np.maximum(one.frames, 2))])


def _sums(phone: NDArray[np.int64], values: Vector) -> Vector:
    """Return the sum of the rows of each phone, (39, columns)."""
    sums = np.zeros((len(PHONES), values.shape[1]))
    np.add.at(sums, phone, values)
    return sums
