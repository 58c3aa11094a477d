"""The numbers behind the report's charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats
from scipy.stats import rankdata

from audiomatch.scoring.clip_table import ClipTable
from audiomatch.scoring.clusters import CONFIDENCE, Array, Clusters, t_interval
from audiomatch.scoring.metrics import PRECISION
from audiomatch.scoring.reliability import CALIBRATION_BINS, calibration_bin

POINTS = 150  # of a curve; more cannot be seen
_MOST_VALUES = 8  # of a column that is drawn
_MEASURES = ("age", "duration", "level")  # cut into quarters where they have more values


class Ratio(NamedTuple):
    """What a threshold gives.

    Attributes:
        threshold: clips from this P(match) on are taken for matches.
        recall: of the matches, the share taken.
        false_alarms: of the mismatches, the share taken.
        precision: of what is taken, the share that matches.
    """

    threshold: float
    recall: float
    false_alarms: float
    precision: float


def ratios(y: Array, p: Array) -> list[Ratio]:
    """Return what each threshold gives, the highest first; empty where a class is missing."""
    matches, others = float((y == 1).sum()), float((y == 0).sum())
    if not matches or not others:
        return []
    order = np.argsort(-p, kind="stable")
    last = np.flatnonzero(np.r_[p[order][1:] != p[order][:-1], True])  # of each threshold
    hits = np.cumsum(y[order])[last]
    taken = last + 1.0
    columns = p[order][last], hits / matches, (taken - hits) / others, hits / taken
    return [Ratio(*map(float, row)) for row in zip(*columns, strict=True)]


def thinned(curve: Sequence[Ratio]) -> list[Ratio]:
    """Return at most `POINTS` of a curve, its ends among them."""
    if len(curve) <= POINTS:
        return list(curve)
    return [curve[i] for i in np.linspace(0, len(curve) - 1, POINTS).round().astype(int)]


def operating(curve: Sequence[Ratio]) -> dict[str, Ratio]:
    """Return the points of note: P(match) 0.5, and most recall at 95 % precision."""
    found = {}
    taken = [ratio for ratio in curve if ratio.threshold >= 0.5]
    if taken:
        found["P(match) 0.5"] = taken[-1]
    precise = [ratio for ratio in curve if ratio.precision >= PRECISION - 1e-9]
    if precise:
        found[f"{PRECISION:.0%} precision".replace("%", " %")] = precise[-1]
    return found


def reliability(y: Array, p: Array, clusters: Clusters) -> list[dict[str, float]]:
    """Return the share of matches in each bin of the calibration error that holds clips.

    `low` and `high` are the ends of its interval, which is over groups; absent where these are too
    few.
    """
    bins = calibration_bin(p)
    held = np.zeros((len(y), CALIBRATION_BINS))
    held[np.arange(len(y)), bins] = 1
    used = np.flatnonzero(held.any(axis=0))
    held = held[:, used]
    sizes = held.sum(0)
    means, shares = (held * p[:, None]).sum(0) / sizes, (held * y[:, None]).sum(0) / sizes
    reach = None
    if not clusters.problem:
        spread = np.sqrt(np.diag(clusters.covariance(held * (y[:, None] - shares))))
        reach = spread * len(y) / sizes * stats.t.ppf((1 + CONFIDENCE) / 2, clusters.freedom)
    rows = []
    for i in range(len(used)):
        row = {"n": float(sizes[i]), "p": float(means[i]), "share": float(shares[i])}
        if reach is not None:
            row["low"] = float(max(0.0, shares[i] - reach[i]))
            row["high"] = float(min(1.0, shares[i] + reach[i]))
        rows.append(row)
    return rows


def agreement(p: Mapping[str, Array]) -> list[tuple[str, list[tuple[float | None, float | None]]]]:
    """Return of each two matchers Spearman's correlation, and how often they agree at 0.5.

    Over the clips that both predicted; the correlation is None where one of them gives one value.
    """
    return [(a, [_agree(p[a], p[b]) for b in p]) for a in p]


def _agree(a: Array, b: Array) -> tuple[float | None, float | None]:
    both = ~np.isnan(a) & ~np.isnan(b)
    if not both.any():
        return None, None
    one, other = a[both], b[both]
    share = float(((one >= 0.5) == (other >= 0.5)).mean())
    if np.ptp(one) < 1e-12 or np.ptp(other) < 1e-12:
        return None, share
    return float(np.corrcoef(rankdata(one), rankdata(other))[0, 1]), share


def frontier(cost: Sequence[float], loss: Sequence[float]) -> list[int]:
    """Return which points no other one beats in both cost and loss, the cheapest first."""
    order = sorted(range(len(cost)), key=lambda i: (cost[i], loss[i]))
    kept: list[int] = []
    for i in order:
        if not kept or loss[i] < loss[kept[-1]]:
            kept.append(i)
    return kept


def parts(pooled: ClipTable, matchers: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Return, for each column that sorts clips into a few kinds, each matcher's log loss by kind.

    Measures (age, duration, level) are cut into quarters. Intervals are each for itself.
    """
    found = {}
    for name in pooled.clips.columns:
        kinds = _kinds(pooled.clips[name], str(name))
        if kinds is not None:
            found[str(name)] = _losses(pooled, matchers, kinds)
    return found


_NO_KIND = {
    "id", "matcher", "group", "match", "p_match", "p_calibrated", "expected_text", "repeat",
}  # fmt: skip


def _kinds(column: pd.Series, name: str) -> pd.Series | None:
    """Return the kind of each clip; None where the column tells no few kinds apart."""
    if name in _NO_KIND:
        return None
    if name in _MEASURES:
        numbers = pd.to_numeric(column, errors="coerce")
        if numbers.nunique() > _MOST_VALUES:
            return _quarters(numbers)
    kinds = column.astype("string").fillna("")
    if name == "fold":
        kinds = (column.astype(int) + 1).astype("string")
    return kinds if 2 <= kinds.nunique() <= _MOST_VALUES else None


def _quarters(numbers: pd.Series) -> pd.Series:
    """Return the quarter of the clips that each is in, named by its ends."""
    cut = pd.qcut(numbers, 4, duplicates="drop")
    names = {part: f"{max(part.left, numbers.min()):.3g} to {part.right:.3g}" for part in
             cut.cat.categories}  # fmt: skip
    return cut.map(names).astype("string").fillna("")


def _losses(pooled: ClipTable, matchers: Sequence[str], kinds: pd.Series) -> list[dict[str, Any]]:
    rows = []
    for kind in sorted(kinds.unique(), key=_natural):
        chosen = (kinds == kind).to_numpy(bool)
        for matcher in matchers:
            loss = pooled.losses(matcher)
            where = np.flatnonzero(chosen & ~np.isnan(loss))
            if len(where):
                value = float(loss[where].mean())
                own = t_interval(value, loss[where] - value, pooled.clusters.take(where))
                rows.append(
                    {"kind": kind or "none", "matcher": matcher, "n": len(where), "loss": value}
                    | ({} if own.low is None else {"low": own.low, "high": own.high})
                )
    return rows


def _natural(kind: str) -> tuple[float, str]:
    """Order numbers, and ranges of them, by size."""
    try:
        return float(kind.split(" ")[0]), kind
    except ValueError:
        return (-1.0 if kind.upper() in ("K", "KG") else np.inf), kind
