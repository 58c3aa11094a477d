"""How often what a leaderboard claims is wrong: `python benchmarks/claims.py [--trials N]`.

Made-up predictions, so that the truth is known. A group (a text) moves the logits of its clips, and
each clip moves its own; with `unequal` a group has 1 to 17 clips, else 9. `sure` is a matcher too
sure of itself, `perfect` one whose probabilities are right.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from audiomatch.records import FoldSummary, Leaderboard
from audiomatch.scoring import (
    METRICS,
    auroc,
    build_leaderboard,
    calibration_error,
    metric_interval,
    paired_difference,
)

CLIPS = 9  # a group, as in mini-screener
GROUPS = (10, 15, 20, 60)
KINDS = ("equal", "unequal", "sure", "perfect")
Array = NDArray[np.float64]


def draw(kind: str, groups: int, trial: int, matchers: int = 1) -> tuple[Array, Array, Array]:
    """Return labels (n,), probabilities (matchers, n) and groups (n,) of made-up clips."""
    rng = np.random.default_rng(trial)
    sizes = rng.integers(1, 2 * CLIPS, groups) if kind == "unequal" else np.full(groups, CLIPS)
    of = np.repeat(np.arange(groups), sizes)
    own = rng.normal(0, 1, (matchers, len(of)))
    if kind == "perfect":
        logits = rng.normal(0, 2, groups)[of] + own
        labels = (rng.random(len(of)) < 1 / (1 + np.exp(-logits[0]))).astype(float)
    else:
        labels = rng.integers(2, size=len(of)).astype(float)
        logits = np.where(labels == 1, 1.5, -1.5) + rng.normal(0, 1, groups)[of] + own
        logits *= 2.5 if kind == "sure" else 1
    return labels, 1 / (1 + np.exp(-logits)), of.astype(float)


def intervals(labels: Array, p: Array, of: Array) -> Iterator[tuple[str, tuple[float | None, ...]]]:
    """Give each score with its interval."""
    for name in METRICS:
        yield name, metric_interval(name, labels, p, of)
    yield "calibration_error", calibration_error(labels, p, of).error


def coverage(kind: str, groups: int, trials: int) -> dict[str, float]:
    """Return of each score the share of its intervals that hold the true score."""
    labels, p, _ = draw(kind, 20_000, 10**6)
    # What a score is in the long run; the estimates are unbiased enough at this size.
    truth = {name: value for name, (value, *_) in intervals(labels, p[0], np.arange(len(labels)))}
    if kind == "perfect":
        truth |= {"calibration_error": 0.0, "calibration_slope": 1.0, "calibration_intercept": 0.0}
    held: dict[str, list[bool]] = {name: [] for name in truth}
    for trial in range(trials):
        labels, p, of = draw(kind, groups, trial)
        for name, (_, low, high) in intervals(labels, p[0], of):
            known = truth[name]
            assert known is not None
            if low is not None and high is not None:
                held[name].append(low <= known <= high)
    return {name: float(np.mean(found)) for name, found in held.items()}


def board(labels: Array, p: dict[str, Array], of: Array, folds: Array) -> Leaderboard:
    """Return the leaderboard of predictions (n,) by matcher."""
    clips = {"id": np.arange(len(of)).astype(str), "fold": folds, "group": of, "match": labels}
    parts = [pd.DataFrame({**clips, "matcher": name, "p_match": q}) for name, q in p.items()]
    results = [
        FoldSummary(matcher=name, fold=int(fold), status="done", seconds_fit=0, seconds_predict=0,
                    kind="floor" if name == "base-rate" else "matcher")
        for name in p for fold in np.unique(folds)
    ]  # fmt: skip
    return build_leaderboard(pd.concat(parts, ignore_index=True), results)


def pair_differs(kind: str, groups: int, trial: int) -> bool:
    """Tell whether two equally good matchers are called different."""
    labels, p, of = draw(kind, groups, trial, matchers=2)
    return paired_difference(labels, p[0], p[1], of).verdict in ("better", "worse")


def table_differs(matchers: int, groups: int, trial: int) -> bool:
    """Tell whether the first of some equally good matchers is called better than another."""
    labels, p, of = draw("equal", groups, trial, matchers)
    made = board(labels, {f"m{i}": q for i, q in enumerate(p)}, of, of % 3)
    return any(row.verdict == "worse" for row in made.rows)


def coin_beats_base_rate(trial: int) -> bool:
    """Tell whether 0.5 for each clip is called better than the base rate of the other folds.

    Half of the clips match; each of 30 texts has a rate of its own, so that folds are uneven.
    """
    rng = np.random.default_rng(trial)
    of = np.repeat(np.arange(30), CLIPS)
    labels = (rng.random(len(of)) < rng.beta(1, 1, 30)[of]).astype(float)
    folds = of % 5
    rate = np.array([labels[folds != fold].mean() for fold in range(5)])[folds]
    made = board(labels, {"coin": np.full(len(of), 0.5), "base-rate": rate}, of, folds)
    coin = made.row("coin")
    return made.difference("coin", "base-rate").verdict == "better" or bool(coin.beats_floors)


def constant_auroc(folds: int) -> float:
    """Return the AUROC of the base rate of the other folds."""
    labels, _, of = draw("equal", 100, 0)
    rate = np.array([labels[of % folds != f].mean() for f in range(folds)])[
        (of % folds).astype(int)
    ]
    found = auroc(labels, rate, of % folds)
    assert found is not None
    return found


def share(of: Callable[[int], bool], trials: int) -> str:
    """Return how often it is so, in percent."""
    return f"{np.mean([of(trial) for trial in range(trials)]):.1%}"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1000)
    trials = parser.parse_args().trials
    names = [*METRICS, "calibration_error"]
    print("| clips | groups | " + " | ".join(names) + " |\n|:--|--:|" + "--:|" * len(names))
    for kind in KINDS:
        for groups in GROUPS:
            found = coverage(kind, groups, trials)
            cells = " | ".join(f"{found[name]:.3f}" for name in names)
            print(f"| {kind} | {groups} | {cells} |", flush=True)
    print("\n| two equal matchers are called different | groups | |\n|:--|--:|--:|")
    for kind in ("equal", "unequal", "sure"):
        for groups in GROUPS:
            found_share = share(lambda t, k=kind, g=groups: pair_differs(k, g, t), trials)  # type: ignore[misc]
            print(f"| {kind} | {groups} | {found_share} |", flush=True)
    print(
        "\n| of equal matchers the first is called better than another | groups | |\n|--:|--:|--:|"
    )
    for matchers in (2, 8):
        for groups in (15, 60):
            found_share = share(
                lambda t, m=matchers, g=groups: table_differs(m, g, t),  # type: ignore[misc]
                trials // 2,
            )
            print(f"| {matchers} | {groups} | {found_share} |", flush=True)
    print(f"\n0.5 is called better than the base rate: {share(coin_beats_base_rate, trials // 2)}")
    for folds in (3, 50):
        print(f"AUROC of the base rate, {folds} folds: {constant_auroc(folds):.3f}")


if __name__ == "__main__":
    main()
