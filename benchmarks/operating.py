"""How often the interval of an operating point holds the truth: `python benchmarks/operating.py`.

Made-up predictions as in `benchmarks/claims.py`, in three folds. The truth is what the thresholds
that a fold was judged by do on 20,000 other groups: intervals hold the thresholds fixed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from audiomatch.records import OperatingPoint
from audiomatch.scoring.clusters import Clusters
from audiomatch.scoring.operating import RULES, Rule, operating_points, verdicts_at
from benchmarks.claims import draw

FOLDS = 3
GROUPS = (15, 20, 60)
KINDS = ("equal", "unequal", "sure", "perfect")
Array = NDArray[np.float64]
Held = dict[tuple[str, float], float]


def coverage(kind: str, groups: int, trials: int, population: int = 20_000) -> Held:
    """Return of each rule, by kind and target, the share of its intervals that hold the truth.

    A point without an interval does not count.
    """
    labels, (p,), _ = draw(kind, population, 10**6)
    held: dict[tuple[str, float], list[bool]] = {}
    for trial in range(trials):
        for rule, point, true in points(kind, groups, trial, labels, p):
            if point.low is not None and point.high is not None:
                own = held.setdefault((rule.kind, rule.target), [])
                own.append(point.low <= true <= point.high)
    return {name: float(np.mean(found)) for name, found in held.items()}


def points(
    kind: str, groups: int, trial: int, labels: Array, p_all: Array
) -> list[tuple[Rule, OperatingPoint, float]]:
    """Return the points of one draw, and what their thresholds do to all clips, (population,)."""
    y, (p,), of = draw(kind, groups, trial)
    folds = of.astype(np.int64) % FOLDS
    names = of.astype(str).astype(object)

    def clusters_of(at: NDArray[np.int64]) -> Clusters:
        return Clusters(of[at])

    found = operating_points(y, p, folds, names, clusters_of, {})
    return [
        (rule, point, truth(rule, y, p, folds, lambda at: verdicts_at(p_all, at), labels))
        for rule, point in zip(RULES, found, strict=True)
    ]


def truth(
    rule: Rule,
    y: Array,
    p: Array,
    folds: NDArray[np.int64],
    said_by: Callable[[Array], Array],
    labels: Array,
) -> float:
    """Return the figure over all clips by the thresholds of each fold, as its clips count."""
    values, weights = [], []
    for fold in range(FOLDS):
        own = folds == fold
        at = rule.thresholds(p[~own], y[~own])
        mask, figure = rule.figure(labels, said_by(at))
        values.append(float(figure[mask].mean()))
        weights.append(int(rule.figure(y[own], verdicts_at(p[own], at))[0].sum()))
    return float(np.average(values, weights=weights))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=300)
    trials = parser.parse_args().trials
    names = [(rule.kind, rule.target) for rule in RULES]
    print("| clips | groups | " + " | ".join(f"{kind} {target:g}" for kind, target in names) + " |")
    print("|:--|--:|" + "--:|" * len(names))
    for kind in KINDS:
        for groups in GROUPS:
            found = coverage(kind, groups, trials)
            cells = " | ".join(f"{found.get(name, np.nan):.3f}" for name in names)
            print(f"| {kind} | {groups} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
