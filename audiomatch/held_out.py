"""Predictions of a training part's own clips, each by what was fitted without its group."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from audiomatch.clips import Clips
from audiomatch.errors import UserError
from audiomatch.folds import inner_folds
from audiomatch.matcher import Run

Predictions = NDArray[np.float64]


def held_out_predictions(
    predict: Callable[[Clips, Clips], Predictions], train: Clips, k: int, run: Run
) -> tuple[Predictions, int]:
    """Return a prediction of each clip, first axis (n,), and the number of inner folds.

    `predict(rest, held_out)` fits on the one and predicts the other, whose labels are taken out; it
    is called for each of at most `k` group-disjoint folds. Raises `UserError` where a rest has
    matches or mismatches alone.
    """
    folds = inner_parts(train, k, run)
    found: list[Predictions] = []
    with run.progress.task("inner folds", total=len(folds), unit="folds") as task:
        for part, held_out in folds:
            found.append(predict(part, train.take(held_out).unlabelled()))
            task.advance()
    order = np.argsort(np.concatenate([held_out for _, held_out in folds]))
    return np.concatenate(found)[order], len(folds)


def inner_parts(train: Clips, k: int, run: Run) -> list[tuple[Clips, NDArray[np.intp]]]:
    """Return for each of at most `k` group-disjoint folds what is left, and the fold's rows.

    Raises `UserError` where what is left has matches or mismatches alone.
    """
    parts = [(train.take(rest), held_out) for rest, held_out in inner_folds(train, k, run.seed)]
    if any(len(set(part.labels)) < 2 for part, _ in parts):
        raise UserError(f"{train.source}: too few groups to hold some out: the rest has one label")
    return parts
