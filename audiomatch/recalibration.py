"""Calibration as a stage after any matcher: learned from its own out-of-fold predictions.

Platt's curve, with a slope and an offset of its own for nonwords and for each task, drawn to the
matcher's own probabilities as far as the clips do not speak against them. Where it does not lower
the log loss of predictions that it has not seen, the matcher is left alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from audiomatch.calibration import logits_of
from audiomatch.clips import Clips
from audiomatch.folds import inner_folds
from audiomatch.lexicon import with_nonword
from audiomatch.records import CalibrationRecord, CurveRecord
from audiomatch.records.calibration import Column

Array = NDArray[np.float64]
Part = tuple[Column, str]  # a column and its value; ("", "") are all clips

INNER_FOLDS = 3  # of the training part: what a calibration is learned from
SMALLEST = 1e-6  # keeps logits finite
_CHOOSING_FOLDS = 5
_LEAST = 10  # matches, and mismatches, of a part with numbers of its own
_ALL: Part = ("", "")
# Standard deviations of the priors of slopes, around 1, and of offsets, around 0, in logits.
_STRENGTHS = ((0.0, 0.0), (0.1, 0.3), (0.3, 1.0))


def fit_calibration(p_match: Array, clips: Clips, folds: int, seed: int = 0) -> CalibrationRecord:
    """Learn the calibration of a matcher.

    P(match) = sigmoid(a logit p + b) (Platt, 1999), where a and b are sums: of numbers for all
    clips, for texts that hold a nonword, and for the clip's task. All of them have normal priors
    that leave p as it is. The curve is the mean over three strengths of each of these priors, one
    of which lets nothing change. Each weighs as much as its cross-validated likelihood (pseudo
    Bayesian model averaging: Geisser and Eddy, 1979), of as many clips as they are worth where
    those of a group miss together (Liang and Zeger, 1986); as much weight as all others have
    before is given to no change. The curve is kept where it has a lower cross-validated log loss
    than p itself; with fewer than ten groups it is not.

    Args:
        p_match: P(match) by models that did not learn from the clip or its group, shape (n,).
        clips: with labels and groups. A task, or nonwords, need ten matches and ten mismatches.
        folds: how many inner folds gave these predictions.
        seed: of the folds that judge.
    """
    from audiomatch.scoring.comparisons import paired_difference

    y, groups = clips.labels.astype(np.float64), np.asarray(clips.groups, dtype=object)
    parts = _parts(clips)
    mean = _mean(p_match, clips, parts, seed)
    found = paired_difference(y, mean.held_out, p_match, groups)
    enough = found.standard_error is not None
    kept = enough and found.difference is not None and found.difference < 0
    return CalibrationRecord(
        method="platt" if kept else "none",
        by="+".join(dict.fromkeys(column for column, _ in parts[1:])) if kept else "",
        curves=_curves(parts, mean.numbers) if kept else (),
        unchanged=mean.unchanged,
        difference=found.difference,
        low=found.low,
        high=found.high,
        clips=len(clips),
        folds=folds,
    )


def calibrated(p_match: Array, clips: Clips, by: CalibrationRecord | None) -> Array:
    """Return the calibrated P(match) of clips, shape (n,)."""
    if by is None or by.method == "none":
        return p_match
    numbers = np.array([(one.slope, one.offset) for one in by.curves]).ravel()
    return _given(_terms(p_match, clips, [(one.column, one.part) for one in by.curves]), numbers)


def without_own(p_match: Array, clips: Clips, by: CalibrationRecord | None, seed: int) -> Array:
    """Return the probabilities that `by` was learned from, by curves learned without each group."""
    if by is None or by.method == "none":
        return p_match
    return _mean(p_match, clips, _parts(clips), seed).held_out


class _Mean(NamedTuple):
    numbers: Array  # (2 * parts,): the slope and offset of each part
    held_out: Array  # (n,): probabilities by curves that were learned without the clip's group
    unchanged: float  # the weight of no change


def _mean(p_match: Array, clips: Clips, parts: Sequence[Part], seed: int) -> _Mean:
    """Average the curves of all strengths of the priors."""
    y, groups = clips.labels.astype(np.float64), np.asarray(clips.groups, dtype=object)
    terms = _terms(p_match, clips, parts)  # (n, 2 * parts)
    worth = 1 / _design_effect(y - p_match, groups)
    columns = list(dict.fromkeys(column for column, _ in parts))
    choices = [dict(zip(columns, one, strict=True)) for one in _strengths(len(columns))]
    priors = [np.array([choice[column] for column, _ in parts]).ravel() for choice in choices]
    folds = inner_folds(clips, _CHOOSING_FOLDS, seed)
    held_out = np.empty((len(priors), len(y)))  # in logits
    for rest, own in folds:
        for i, prior in enumerate(priors):
            held_out[i, own] = _logits(terms[own], _fitted(terms[rest], y[rest], prior, worth))
    losses = (np.logaddexp(0, held_out) - y * held_out).sum(axis=1)
    weights = np.exp((losses.min() - losses) * worth)
    weights[0] *= len(priors) - 1  # no change, the first, against all others
    weights /= weights.sum()
    numbers = weights @ [_fitted(terms, y, prior, worth) for prior in priors]
    return _Mean(numbers, expit(weights @ held_out), float(weights[0]))


def _strengths(columns: int) -> list[tuple[tuple[float, float], ...]]:
    return list(product(_STRENGTHS, repeat=columns))


def _fitted(terms: Array, y: Array, deviations: Array, worth: float) -> Array:
    """Return the numbers of greatest posterior density, shape (2 * parts,)."""
    numbers = np.zeros(terms.shape[1])
    numbers[0] = 1
    free = deviations > 0
    if not free.any():
        return numbers
    x, base, precision = terms[:, free], terms @ numbers, deviations[free] ** -2.0

    def loss(change: Array) -> tuple[float, Array]:
        z = base + x @ change
        value = worth * np.sum(np.logaddexp(0, z) - y * z) + 0.5 * (precision * change**2).sum()
        return float(value), worth * (x.T @ (expit(z) - y)) + precision * change

    def curvature(change: Array) -> Array:
        p = expit(base + x @ change)
        return np.asarray(worth * (x.T * (p * (1 - p))) @ x + np.diag(precision))

    start = np.zeros(int(free.sum()))
    found = minimize(loss, start, jac=True, hess=curvature, method="trust-exact")
    numbers[free] += found.x
    return numbers


def _given(terms: Array, numbers: Array) -> Array:
    return np.asarray(expit(_logits(terms, numbers)), np.float64)


def _logits(terms: Array, numbers: Array) -> Array:
    """Return calibrated logits, shape (n,); no slope is below 0, so that the order is kept."""
    of_one = np.where(terms[:, 1::2] != 0, numbers[0::2], 0).sum(axis=1)  # (n,)
    logits = terms[:, 0]
    return np.asarray(terms @ numbers + np.maximum(-of_one, 0) * logits, np.float64)


def _terms(p_match: Array, clips: Clips, parts: Sequence[Part]) -> Array:
    """Return what slope and offset of each part are multiplied with, shape (n, 2 * parts)."""
    z = logits_of(p_match, SMALLEST)
    values = {column: _values(column, clips) for column, _ in parts}
    own = [np.asarray(values[column] == part, np.float64) for column, part in parts]
    return np.stack([term for one in own for term in (z * one, one)], axis=1)


def _design_effect(misses: Array, groups: NDArray[np.object_]) -> float:
    """Return how much more the sum of misses varies than if clips missed one by one; at least 1."""
    _, group = np.unique(groups.astype(str), return_inverse=True)
    single = (misses**2).sum()
    return max(1.0, float((np.bincount(group, misses) ** 2).sum() / single)) if single else 1.0


def _curves(parts: Sequence[Part], numbers: Array) -> tuple[CurveRecord, ...]:
    pairs = numbers.reshape(-1, 2).tolist()
    return tuple(
        CurveRecord(column=column, part=part, slope=slope, offset=offset)
        for (column, part), (slope, offset) in zip(parts, pairs, strict=True)
    )


def _parts(clips: Clips) -> list[Part]:
    """Return all clips, and the parts that differ from others with enough clips of both labels."""
    found = [_ALL]
    columns: tuple[Column, ...] = ("nonword", "task")
    for column in columns:
        values, y = _values(column, clips), clips.labels
        counts = {v: np.bincount(y[values == v], minlength=2).min() for v in sorted(set(values))}
        enough = [value for value, least in counts.items() if least >= _LEAST]
        if len(enough) > 1:
            found += [(column, value) for value in enough if value]
    return found


def _values(column: Column, clips: Clips) -> NDArray[np.object_]:
    """Return what each clip has in a column; words, tasks that are not told and all are empty."""
    if column == "nonword":
        return np.where(with_nonword(clips.texts), "nonword", "").astype(object)
    if column == "task" and "task" in clips.frame:
        return clips["task"].fillna("").astype(str).to_numpy(object)
    return np.full(len(clips), "", dtype=object)
