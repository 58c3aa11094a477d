"""How often an interval holds the true log loss, and how often equal matchers are called different.

`python benchmarks/interval_coverage.py`: made-up predictions, so that the truth is known. A group
(a text) moves the logits of its clips, and with `--alike` each matcher adds noise of its own.
"""

from __future__ import annotations

import argparse
import itertools

import numpy as np
from numpy.typing import NDArray

from audiomatch.scoring import log_loss, metric_interval, paired_difference
from audiomatch.scoring.intervals import is_tie

CLIPS = 9  # a group, as in mini-screener
Array = NDArray[np.float64]


def draw(rng: np.random.Generator, groups: int, matchers: int = 1) -> tuple[Array, Array, Array]:
    """Return labels (n,), probabilities (matchers, n) and groups (n,) of made-up clips."""
    of = np.repeat(np.arange(groups), CLIPS)
    labels = rng.integers(2, size=len(of))
    shared = np.where(labels == 1, 1.5, -1.5) + rng.normal(0, 1, groups)[of]
    logits = shared + rng.normal(0, 1, (matchers, len(of)))
    return labels.astype(float), 1 / (1 + np.exp(-logits)), of.astype(float)


def coverage(groups: int, trials: int, truth: float) -> float:
    """Return the share of trials whose interval holds `truth`."""
    held = 0
    for trial in range(trials):
        labels, p, of = draw(np.random.default_rng(trial), groups)
        found = metric_interval("log_loss", labels, p[0], of, seed=trial)
        assert found.low is not None and found.high is not None
        held += found.low <= truth <= found.high
    return held / trials


def called_different(groups: int, trials: int, matchers: int) -> float:
    """Return the share of trials in which some pair of equally good matchers is no tie."""
    found = 0
    for trial in range(trials):
        labels, p, of = draw(np.random.default_rng(trial), groups, matchers)
        found += any(
            not is_tie(paired_difference(labels, p[a], p[b], of, seed=trial))
            for a, b in itertools.combinations(range(matchers), 2)
        )
    return found / trials


def main() -> None:
    """Print both as tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=400)
    trials = parser.parse_args().trials
    labels, p, _ = draw(np.random.default_rng(10**6), 200_000)
    truth = log_loss(labels, p[0])
    assert truth is not None
    print("| groups | intervals that hold the true log loss |\n|--:|--:|")
    for groups in (5, 10, 15, 30, 60, 120):
        print(f"| {groups} | {coverage(groups, trials, truth):.0%} |", flush=True)
    print("\n| equal matchers, 60 groups | some pair is called different |\n|--:|--:|")
    for matchers in (2, 4, 8):
        print(f"| {matchers} | {called_different(60, trials, matchers):.0%} |", flush=True)


if __name__ == "__main__":
    main()
