"""From features to P(match): a logistic regression, calibrated on clips that it has not seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiomatch.calibration import Calibration
from audiomatch.clips import Clips
from audiomatch.folds import inner_folds
from audiomatch.matcher import Run
from audiomatch_phones.evidence import Evidence
from audiomatch_phones.features import CLIP, clip_features
from audiomatch_phones.norms import Norms

Vector = NDArray[np.float64]
INNER_FOLDS = 5


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
    def fit(cls, features: Vector, train: Clips, seed: int) -> Linear:
        """Learn the labels of `train`, with the penalty that suits clips of other groups."""
        from audiomatch.floors.logistic import fit_logistic  # scikit-learn: predicting needs none

        mean, scale = standard(features)
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


@dataclass(frozen=True)
class Head:
    """P(match) of a clip's evidence.

    Attributes:
        norms: of phones that are said right.
        linear: of the clip's features.
        calibration: of its logits.
    """

    norms: Norms
    linear: Linear
    calibration: Calibration

    @classmethod
    def fit(cls, found: Sequence[Evidence], train: Clips, run: Run) -> Head:
        """Learn from a training part; the calibration from group-disjoint inner folds of it."""
        logits, rows = [np.zeros(0)], [np.zeros(0, np.int64)]
        for rest, held_out in inner_folds(train, INNER_FOLDS, run.seed):
            if len(set(train.labels[rest])) == 2:
                norms, linear = _learn([found[i] for i in rest], train.take(rest), run)
                logits.append(linear(_table([found[i] for i in held_out], norms)))
                rows.append(held_out)
        norms, linear = _learn(found, train, run)
        seen = np.concatenate(rows)
        if not len(seen):
            run.note(warning="too few clips to hold some out: not calibrated")
            return cls(norms, linear, Calibration())
        calibration = Calibration.fit(
            np.concatenate(logits),
            train.labels[seen],
            rate=float((train.labels.sum() + 0.5) / (len(train) + 1)),
            groups=np.asarray(train.groups, dtype=object)[seen],
        )
        return cls(norms, linear, calibration)

    def __call__(self, found: Sequence[Evidence]) -> Vector:
        """Return P(match) of each clip, (n,)."""
        return self.calibration(self.linear(_table(found, self.norms)))

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` takes."""
        return {
            "norms": self.norms.to_json(),
            "linear": self.linear.to_json(),
            "calibration": self.calibration.to_json(),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Head:
        """Return what `to_json` was asked of; raises `ValueError` for anything else."""
        return cls(
            Norms.from_json(content["norms"]),
            Linear.from_json(content["linear"], len(CLIP)),
            Calibration.from_json(content["calibration"]),
        )


def _learn(found: Sequence[Evidence], train: Clips, run: Run) -> tuple[Norms, Linear]:
    norms = Norms.of([one for one, label in zip(found, train.labels, strict=True) if label])
    return norms, Linear.fit(_table(found, norms), train, run.seed)


def _table(found: Sequence[Evidence], norms: Norms) -> Vector:
    return np.array([clip_features(one, norms) for one in found]).reshape(-1, len(CLIP))
