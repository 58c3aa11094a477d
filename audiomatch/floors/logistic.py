"""Logistic regression whose penalty is chosen on groups that it has not seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from audiomatch.clips import Clips
from audiomatch.folds import inner_folds
from audiomatch.scoring.metrics import clip_losses

INNER_FOLDS = 5
# Inverse penalties, strongest first; the first leaves all but the base rate.
PENALTIES = tuple(10.0**power for power in range(-5, 2))
MOST_CLIPS = 20_000  # that choose the penalty: more of them hardly move it
RISEN = 0.01  # nats over the least loss at which weaker penalties, slow to fit, are not tried


@dataclass
class Logistic:
    """A fitted logistic regression: P = 1 / (1 + exp(-(x · coefficients + intercept)))."""

    coefficients: NDArray[np.float64]
    intercept: float
    c: float

    def predict(self, features: Any) -> NDArray[np.float64]:
        """Return probabilities of shape (n,) for a dense or sparse (n, d) matrix.

        Each row is summed by itself, so that a row's number does not depend on the others, as it
        may in a product of matrices.
        """
        if isinstance(features, np.ndarray):
            score = (np.ascontiguousarray(features) * self.coefficients).sum(axis=1)
        else:
            score = features @ self.coefficients
        return np.asarray(1 / (1 + np.exp(-np.clip(score + self.intercept, -500, 500))), np.float64)


def fit_logistic(features: Any, rows: NDArray[np.int64], train: Clips, seed: int) -> Logistic:
    """Fit with the L2 penalty that has the least log loss over group-disjoint inner folds.

    `features` has shape (m, d), dense or sparse; `rows`, shape (n,), says which of its rows each
    clip of `train` has, so that a text of many clips is there once. Of penalties that score alike
    the strongest is taken, so that features which tell nothing end at the base rate.
    """
    y = train.labels
    # The matrices are small: threads would cost more than they give, much more on a busy machine.
    with threadpool_limits(limits=1):
        return _fit(features, rows, y, _penalty(features, rows, train, seed))


def _penalty(features: Any, rows: NDArray[np.int64], train: Clips, seed: int) -> float:
    """Return the best of `PENALTIES`, chosen on at most `MOST_CLIPS` of the clips."""
    if len(train) > MOST_CLIPS:
        some = np.sort(train.draw(np.arange(len(train)), MOST_CLIPS, seed))
        rows, train = rows[some], train.take(some)
    y = train.labels
    splits = [
        (rest, held_out)
        for rest, held_out in inner_folds(train, INNER_FOLDS, seed)
        if np.unique(y[rest]).size == 2
    ]
    best, least = PENALTIES[0], np.inf
    for c in PENALTIES if splits else ():
        losses = [
            clip_losses(
                y[held_out].astype(np.float64),
                _fit(features, rows[rest], y[rest], c).predict(features)[rows[held_out]],
            )
            for rest, held_out in splits
        ]
        loss = float(np.concatenate(losses).mean())
        if loss < least - 1e-4:
            best, least = c, loss
        elif loss > least + RISEN:
            break
    return best


def _fit(features: Any, rows: NDArray[np.int64], y: NDArray[np.int8], c: float) -> Logistic:
    cells, counts = np.unique(rows * 2 + y, return_counts=True)
    dense = isinstance(features, np.ndarray)
    # scikit-learn's C weighs the sum of losses; here it weighs that of a thousand clips, so that a
    # penalty means the same whatever the number of clips.
    model = LogisticRegression(
        C=c * 1000 / len(y), solver="newton-cholesky" if dense else "lbfgs", max_iter=500
    )
    model.fit(features[cells // 2], cells % 2, sample_weight=counts)
    return Logistic(model.coef_[0].astype(np.float64), float(model.intercept_[0]), c)
