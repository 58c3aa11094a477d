"""A logistic regression of standardised features, as it predicts; scikit-learn fits it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiomatch.clips import Clips

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Linear:
    """A logistic regression of standardised features.

    Attributes:
        mean: of each feature, (features,).
        scale: its spread, (features,).
        slopes: of each standardised feature, (features,).
        bias: what is added.
    """

    mean: Vector
    scale: Vector
    slopes: Vector
    bias: float

    @classmethod
    def fit(cls, features: Vector, train: Clips, seed: int, *, least_scale: float = 0.0) -> Linear:
        """Learn the labels of `train`, with the penalty that suits clips of other groups."""
        from audiomatch.floors.logistic import fit_logistic  # scikit-learn: predicting needs none

        mean, scale = standard(features)
        scale = scale.clip(least_scale)
        x = (features - mean) / scale
        made = fit_logistic(x, np.arange(len(x)), train, seed)
        return cls(mean, scale, made.coefficients, made.intercept)

    def __call__(self, features: Vector) -> Vector:
        """Return the logit of each row, (n,)."""
        rows = (features - self.mean) / self.scale * self.slopes
        return np.asarray(rows.sum(axis=1) + self.bias)  # each row by itself

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` takes."""
        lists = {name: getattr(self, name).tolist() for name in ("mean", "scale", "slopes")}
        return {**lists, "bias": self.bias}

    @classmethod
    def from_json(cls, content: Mapping[str, Any], width: int) -> Linear:
        """Return what `to_json` was asked of; raises `ValueError` for anything else."""
        mean, scale, slopes = (
            np.array(content[name], np.float64) for name in ("mean", "scale", "slopes")
        )
        bias = float(content["bias"])
        every = np.concatenate([mean, scale, slopes, [bias]])
        if every.shape != (3 * width + 1,) or not np.isfinite(every).all():
            raise ValueError(f"no logistic of {width} features")
        return cls(mean, scale, slopes, bias)


def standard(features: Vector) -> tuple[Vector, Vector]:
    """Return mean and spread of each column; a spread of 1 where all rows are alike."""
    scale = features.std(axis=0)
    return features.mean(axis=0), np.where(scale < 1e-6, 1.0, scale)
