"""Calibration as a stage after any matcher: learned from its own out-of-fold predictions.

Where a calibration surely lowers the log loss of predictions that it has not seen, it is kept;
a matcher whose probabilities are good is left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from audiomatch.calibration import Calibration, logits_of
from audiomatch.clips import Clips
from audiomatch.folds import inner_folds
from audiomatch.lexicon import with_nonword
from audiomatch.records import CalibrationRecord, CurveRecord
from audiomatch.records.calibration import Method, Parting

Array = NDArray[np.float64]
Numbers = tuple[float, ...]

INNER_FOLDS = 3  # of the training part: what a calibration is learned from
SMALLEST = 1e-6  # keeps logits finite
_CHOOSING_FOLDS = 5
_LEAST = 10  # matches, and mismatches, of a part with a curve of its own
_PRIOR = 2.5  # standard deviation of Kull's a and b around 1


class _Family(NamedTuple):
    fit: Callable[[Array, Array, NDArray[np.object_]], Numbers]  # of p, labels and groups, (n,)
    give: Callable[[Array, Numbers], Array]


def _fit_platt(p: Array, y: Array, groups: NDArray[np.object_]) -> Numbers:
    made = Calibration.fit(logits_of(p, SMALLEST), y, groups=groups)
    return made.slope, made.offset


def _give_platt(p: Array, numbers: Numbers) -> Array:
    return Calibration(*numbers)(logits_of(p, SMALLEST))


def _fit_beta(p: Array, y: Array, _groups: NDArray[np.object_]) -> Numbers:
    """Return a, b and c of sigmoid(a ln p - b ln(1 - p) + c), a and b at least 0 (Kull, 2017)."""
    x = _beta_terms(p)

    def loss(at: Array) -> tuple[float, Array]:
        z, apart = x @ at, (at - 1) * [1, 1, 0] / _PRIOR**2
        value = np.sum(np.logaddexp(0, z) - y * z) + 0.5 * _PRIOR**2 * (apart**2).sum()
        return float(value), x.T @ (expit(z) - y) + apart

    bounds = [(0, None), (0, None), (None, None)]
    found = minimize(loss, np.array([1.0, 1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=bounds)
    return tuple(found.x.tolist())


def _give_beta(p: Array, numbers: Numbers) -> Array:
    return np.asarray(expit(_beta_terms(p) @ numbers), np.float64)


def _beta_terms(p: Array) -> Array:
    q = np.clip(p, SMALLEST, 1 - SMALLEST)
    return np.stack([np.log(q), -np.log1p(-q), np.ones(len(q))], axis=1)  # (n, 3)


def _fit_isotonic(p: Array, y: Array, _groups: NDArray[np.object_]) -> Numbers:
    """Return the knots of the isotonic regression, kept from 0 and 1 as n clips allow."""
    from sklearn.isotonic import IsotonicRegression

    least = 1 / (len(p) + 2)  # the rule of succession
    fitted = IsotonicRegression(y_min=least, y_max=1 - least).fit(p, y)
    return (*fitted.X_thresholds_.tolist(), *fitted.y_thresholds_.tolist())


def _give_isotonic(p: Array, numbers: Numbers) -> Array:
    return np.asarray(np.interp(p, *np.reshape(numbers, (2, -1))), np.float64)


FAMILIES: dict[Method, _Family] = {
    "platt": _Family(_fit_platt, _give_platt),
    "beta": _Family(_fit_beta, _give_beta),
    "isotonic": _Family(_fit_isotonic, _give_isotonic),
}


def fit_calibration(p_match: Array, clips: Clips, folds: int, seed: int = 0) -> CalibrationRecord:
    """Choose and learn the calibration of a matcher.

    Of Platt's, the beta and the isotonic calibration (Platt, 1999; Kull, Silva Filho and Flach,
    2017; Zadrozny and Elkan, 2002), each for all clips, by task, and by whether the text holds a
    nonword, the one with the least cross-validated log loss is tried. It is kept where it gains
    more than a standard error over groups (Breiman et al., 1984); with fewer than ten groups
    nothing is. A part has a curve of its own where it has ten matches and ten mismatches; the
    others share that of all clips.

    Args:
        p_match: P(match) by models that did not learn from the clip or its group, shape (n,).
        clips: with labels and groups.
        folds: how many inner folds gave these predictions.
        seed: of the folds that choose.
    """
    from audiomatch.scoring.comparisons import paired_difference

    y = clips.labels.astype(np.float64)
    groups = np.asarray(clips.groups, dtype=object)
    best = min(_candidates(p_match, clips, seed), key=lambda one: one.loss)
    found = paired_difference(y, best.p_match, p_match, groups)
    error = found.standard_error  # none where groups are too few
    kept = found.difference is not None and error is not None and found.difference < -error
    return CalibrationRecord(
        method=best.method if kept else "none",
        by=best.by if kept else "",
        curves=_curves(best.method, best.by, p_match, clips) if kept else (),
        tried=best.method + (f" by {best.by}" if best.by else ""),
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
    give, numbers = FAMILIES[by.method].give, {one.part: one.numbers for one in by.curves}
    parts = _parts(by.by, clips)
    found = np.empty(len(p_match))
    for part in set(parts):
        own = parts == part
        found[own] = give(p_match[own], numbers.get(part, numbers[""]))
    return np.clip(found, 0, 1)


def without_own(p_match: Array, clips: Clips, by: CalibrationRecord | None, seed: int) -> Array:
    """Return the probabilities that `by` was learned from, by curves learned without each group."""
    if by is None or by.method == "none":
        return p_match
    return _crossed(by.method, by.by, p_match, clips, seed)


class _Candidate(NamedTuple):
    method: Method
    by: Parting
    p_match: Array  # (n,), by curves that were learned without the clip's group
    loss: float


def _candidates(p_match: Array, clips: Clips, seed: int) -> Iterable[_Candidate]:
    from audiomatch.scoring.metrics import log_loss

    partings: tuple[Parting, ...] = ("", "nonword", "task")
    for by in partings:
        if by and len(_own_curve(by, clips)) < 2:
            continue
        for method in FAMILIES:
            out = _crossed(method, by, p_match, clips, seed)
            yield _Candidate(method, by, out, log_loss(clips.labels, out) or 0.0)


def _crossed(method: Method, by: Parting, p_match: Array, clips: Clips, seed: int) -> Array:
    """Return calibrated probabilities, each by curves that were learned without its group."""
    out = np.empty(len(p_match))
    for rest, held_out in inner_folds(clips, _CHOOSING_FOLDS, seed):
        curves = _curves(method, by, p_match[rest], clips.take(rest))
        made = CalibrationRecord(method=method, by=by, curves=curves)
        out[held_out] = calibrated(p_match[held_out], clips.take(held_out), made)
    return out


def _curves(method: Method, by: Parting, p_match: Array, clips: Clips) -> tuple[CurveRecord, ...]:
    y, parts = clips.labels.astype(np.float64), _parts(by, clips)
    groups = np.asarray(clips.groups, dtype=object)
    held = {"": np.ones(len(y), bool)} | {name: parts == name for name in _own_curve(by, clips)}
    fit = FAMILIES[method].fit
    return tuple(
        CurveRecord(part=name, numbers=fit(p_match[own], y[own], groups[own]))
        for name, own in held.items()
    )


def _own_curve(by: Parting, clips: Clips) -> list[str]:
    """Name the parts that have enough clips of both labels."""
    parts, y = _parts(by, clips), clips.labels
    counts = {part: np.bincount(y[parts == part], minlength=2).min() for part in sorted(set(parts))}
    return [part for part, least in counts.items() if part and least >= _LEAST]


def _parts(by: Parting, clips: Clips) -> NDArray[np.object_]:
    """Return the part of each clip."""
    if by == "nonword":
        return np.where(with_nonword(clips.texts), "nonword", "words").astype(object)
    if by == "task" and "task" in clips.frame:
        return clips["task"].fillna("").astype(str).to_numpy(object)
    return np.full(len(clips), "", dtype=object)
