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
from audiomatch.linear import Linear
from audiomatch.matcher import Run
from audiomatch_phones.evidence import Evidence
from audiomatch_phones.features import CLIP, clip_features
from audiomatch_phones.norms import Norms

Vector = NDArray[np.float64]
INNER_FOLDS = 5


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
