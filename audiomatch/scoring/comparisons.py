"""Which of several matchers differ: paired differences that hold for the whole table at once."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from audiomatch.records import Difference, Leaderboard
from audiomatch.records.base import Verdict
from audiomatch.scoring.clusters import CONFIDENCE, LEAST_GROUPS, Array, Clusters, as_columns
from audiomatch.scoring.metrics import checked, clip_losses

MATTERS = 0.005  # nats: a smaller difference in log loss is none that matters
SPREAD = 0.2  # nats: that of two fine-tunes from text to text, on mini-screener 0.15
_DRAWS = 20_000
_POWER = 0.8


@dataclass(eq=False)
class _Pair:
    """Two matchers over the clips that both predicted: their mean difference and its spread."""

    a: str
    b: str
    value: float | None
    influence: Array  # (n of all clips,), 0 where one has no prediction
    spread: float
    clusters: Clusters
    same: bool


def paired_difference(
    labels: ArrayLike, p_a: ArrayLike, p_b: ArrayLike, groups: ArrayLike, matters: float = MATTERS
) -> Difference:
    """Return the log loss of A minus that of B over the same clips; see `compare_all`.

    `labels`, `p_a`, `p_b` and `groups` have shape (n,); the pair stands for itself.
    """
    y, a = checked(labels, p_a)
    _, b = checked(labels, p_b)
    losses = {"a": clip_losses(y, a), "b": clip_losses(y, b)}
    return compare_all(losses, as_columns(groups), matters=matters)[0]


def compare_all(
    losses: Mapping[str, Array],
    clusters: Clusters,
    *,
    flat: Collection[str] = (),
    floors: Collection[str] = (),
    matters: float = MATTERS,
    seed: int = 0,
) -> list[Difference]:
    """Compare each two matchers by their clips' losses, (n,), NaN where one has no prediction.

    The mean difference of each pair has a t interval with the variance of CR2 and Satterthwaite's
    degrees of freedom (Bell and McCaffrey, 2002; Pustejovsky and Tipton, 2018). The intervals of
    all pairs together hold in 95 % of tables: each is as much wider as the largest of their
    normal scores asks, which are as correlated as the differences are (single-step maxT of Westfall
    and Young, 1993, with the normal copula of Hothorn, Bretz and Westfall, 2008).

    A is *better* or *worse* where the interval leaves 0 out, *equivalent* where it is within
    `matters` nats of 0 (the two one-sided tests of Schuirmann, 1987, at 2.5 % each), else the clips
    leave it *undecided*. Two matchers that are `flat`, that is give one probability a fold, are not
    judged: they differ by how labels fall on the folds. Nor are two `floors`, for nobody asks.
    """
    pairs = [
        _pair(a, b, losses[a] - losses[b], clusters) for a, b in itertools.combinations(losses, 2)
    ]
    unasked = set(flat), set(floors)
    asked = [pair for pair in pairs if not any({pair.a, pair.b} <= names for names in unasked)]
    return _judged(pairs, asked, clusters, matters, seed)


def compare_by(
    names: tuple[str, str],
    difference: Array,
    clusters: Clusters,
    values: NDArray[np.object_] | None = None,
    matters: float = MATTERS,
) -> dict[str, Difference]:
    """Judge one pair by its clips' differences in loss, (n,), under the key ""; see `compare_all`.

    With `values` (n,) also over the clips of each value; these intervals hold together.
    """
    whole = [_pair(*names, difference, clusters)]
    found = {"": _judged(whole, whole, clusters, matters, 0)[0]}
    if values is not None:
        known = sorted(set(values))
        parts = [_pair(*names, np.where(values == v, difference, np.nan), clusters) for v in known]
        judged = _judged(parts, parts, clusters, matters, 0)
        found |= {value or "none": one for value, one in zip(known, judged, strict=True)}
    return found


def letters(names: Sequence[str], comparisons: Sequence[Difference]) -> dict[str, str]:
    """Return the compact letters: two matchers that share one are not shown to differ.

    Insert and absorb (Piepho, 2004). Names are by rising log loss, so that `a` is the best tier.
    """
    known = set(names)
    sets = [known]
    for pair in comparisons:
        if pair.verdict in ("better", "worse") and {pair.a, pair.b} <= known:
            split = [s - {one} for s in sets if {pair.a, pair.b} <= s for one in (pair.a, pair.b)]
            sets = [s for s in sets if not {pair.a, pair.b} <= s]
            for one in split:
                if not any(one <= other for other in sets):
                    sets = [other for other in sets if not other < one] + [one]
    places = {name: place for place, name in enumerate(names)}
    sets.sort(key=lambda one: sorted(places[name] for name in one))
    return {
        name: "".join(_letter(i) for i, one in enumerate(sets) if name in one) for name in names
    }


def power_line(groups: int, rows: int, spread: float | None = None) -> str:
    """Return, before a run, what it can show: one line.

    `spread` is what `spread_between` gives of earlier matchers; without it there is a guess.
    """
    if groups < LEAST_GROUPS:
        return f"{groups} groups: no intervals and no verdicts, at least {LEAST_GROUPS} are needed"
    least = expected_detectable(spread or SPREAD, groups, max(rows, 2))
    whence = (
        "as between the matchers of the last run here"
        if spread
        else "a guess: matchers that are alike differ by less, one that learned and one that did "
        "not by more"
    )
    return (
        f"with {groups} groups a difference of {least:.2g} nats is found in 80 % of runs, where it "
        f"varies by {spread or SPREAD:.2g} from group to group ({whence})"
    )


def spread_between(board: Leaderboard) -> float | None:
    """Return the standard deviation of a difference from group to group: the median over pairs.

    None where no two matchers of the table were judged.
    """
    matchers = {row.matcher for row in board.rows if row.kind == "matcher"}
    found = [
        pair.standard_error * np.sqrt(pair.groups)
        for pair in board.comparisons
        if {pair.a, pair.b} <= matchers and pair.standard_error
    ]
    return float(np.median(found)) if found else None


def expected_detectable(spread: float, groups: int, matchers: int) -> float:
    """Return the difference between two of some matchers that 80 % of runs find, before any run.

    `spread` is the standard deviation of the difference from group to group. All pairs are compared
    (Tukey's studentised range).
    """
    freedom = groups - 1
    wide = float(stats.studentized_range.ppf(CONFIDENCE, matchers, freedom)) / np.sqrt(2)
    return float((wide + stats.t.ppf(_POWER, freedom)) * spread / np.sqrt(groups))


def found_detectable(pairs: Sequence[Difference]) -> float | None:
    """Return the difference that 80 % of such runs find: the median over pairs, None without."""
    found = [
        (pair.high - pair.low) / 2
        + float(stats.t.ppf(_POWER, pair.groups - 1)) * pair.standard_error
        for pair in pairs
        if pair.low is not None and pair.high is not None and pair.standard_error
    ]
    return float(np.median(found)) if found else None


def _letter(place: int) -> str:
    return chr(ord("a") + place) if place < 26 else f"({place})"


def _judged(
    pairs: Sequence[_Pair], asked: Sequence[_Pair], clusters: Clusters, matters: float, seed: int
) -> list[Difference]:
    """Return what is known of each pair; the intervals of those asked for hold together."""
    varied = [pair for pair in asked if pair.spread > 0]
    score = largest_score([pair.influence for pair in varied], clusters, seed)
    return [_difference(pair, pair in varied, score, matters) for pair in pairs]


def _pair(a: str, b: str, difference: Array, clusters: Clusters) -> _Pair:
    shared = ~np.isnan(difference)
    n = int(shared.sum())
    own = clusters if n == len(shared) else clusters.take(np.flatnonzero(shared))
    if not n:
        return _Pair(a, b, None, np.zeros(len(shared)), 0.0, own, same=False)
    value = float(difference[shared].mean())
    influence = difference[shared] - value
    spread = 0.0 if own.problem else float(np.sqrt(own.covariance(influence[:, None])[0, 0]))
    everywhere = np.zeros(len(shared))
    everywhere[shared] = influence * len(shared) / n
    same = not difference[shared].any()
    return _Pair(a, b, value, everywhere, spread if spread > 1e-12 else 0.0, own, same)


def largest_score(influences: Sequence[Array], clusters: Clusters, seed: int = 0) -> float:
    """Return what the largest of the pairs' normal scores keeps below in 95 % of tables."""
    if len(influences) < 2:
        return float(stats.norm.ppf((1 + CONFIDENCE) / 2))
    covariance = clusters.covariance(np.stack(influences, axis=1))  # (pairs, pairs)
    scale = np.sqrt(np.diag(covariance))
    values, vectors = np.linalg.eigh(covariance / np.outer(scale, scale))
    root = vectors * np.sqrt(np.maximum(values, 0))
    root /= np.sqrt((root**2).sum(axis=1, keepdims=True))
    draws = np.random.default_rng(seed).normal(size=(_DRAWS, len(root))) @ root.T
    return float(np.quantile(np.abs(draws).max(axis=1), CONFIDENCE))


def _difference(pair: _Pair, judged: bool, score: float, matters: float) -> Difference:
    low = high = error = None
    verdict: Verdict | None = None
    if judged and pair.value is not None:
        error = pair.spread
        reach = pair.spread * float(stats.t.ppf(stats.norm.cdf(score), pair.clusters.freedom))
        low, high = pair.value - reach, pair.value + reach
        verdict = verdict_of(low, high, matters)
    elif pair.same and not pair.clusters.problem:
        low = high = error = 0.0
        verdict = "equivalent"
    return Difference(
        a=pair.a,
        b=pair.b,
        difference=pair.value,
        low=low,
        high=high,
        verdict=verdict,
        standard_error=error,
        n=pair.clusters.n if pair.value is not None else 0,
        groups=pair.clusters.count if pair.value is not None else 0,
    )


def verdict_of(low: float, high: float, matters: float) -> Verdict:
    """Return what an interval of a difference says."""
    if -matters <= low and high <= matters:
        return "equivalent"
    if low > 0 or high < 0:
        return "worse" if low > 0 else "better"
    return "undecided"
