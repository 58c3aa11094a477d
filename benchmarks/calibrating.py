"""When is a calibration kept, and what does it then gain? On made-up predictions.

`python benchmarks/calibrating.py --trials 20` prints the table of results/calibration.md.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from audiomatch.clips import Clips
from audiomatch.recalibration import calibrated, fit_calibration
from audiomatch.scoring import log_loss

WORDS = ["dog", "ran", "over", "hill", "cat", "tree", "house", "river", "stone", "bird"]
KINDS = {
    "right": "probabilities that are right",
    "too sure": "logits 2.5 times too large",
    "shifted": "logits 1 too small",
    "nonwords": "right, but of nonwords (a quarter) it knows nothing and does not know it",
    "noise": "noise around 0.5 (deviation 0.4 in logits), whatever the label",
}


def main() -> None:
    """Print a row for each kind of predictions and number of groups."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=20)
    trials = parser.parse_args().trials
    print("| predictions | clips | groups | kept | raw | calibrated | ideal |")
    print("|:--|--:|--:|--:|--:|--:|--:|")
    for kind in KINDS:
        for groups in (15, 40, 100):
            rows = np.array([trial(kind, groups, seed) for seed in range(trials)])
            kept, *losses = rows.mean(axis=0)
            shown = " | ".join(f"{loss:.3f}" for loss in losses)
            print(f"| {kind} | {6 * groups} | {groups} | {kept:.2f} | {shown} |", flush=True)


def trial(kind: str, groups: int, seed: int) -> tuple[float, ...]:
    """Return whether a calibration is kept, and the losses on other clips: raw, so, and ideal."""
    p, _, clips = world(kind, groups, seed)
    found = fit_calibration(p, clips, 3)
    p, ideal, others = world(kind, 400, seed + 10_000)
    losses = [log_loss(others.labels, q) for q in (p, calibrated(p, others, found), ideal)]
    return float(found.method != "none"), *(loss or 0.0 for loss in losses)


def world(
    kind: str, groups: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], Clips]:
    """Return made-up predictions, the right ones, and 6 clips a group; groups move the logits."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(groups), 6)
    z = rng.normal(0, 2, len(group)) + rng.normal(0, 0.7, groups)[group]
    nonword = group % 4 == 0
    unknown = (nonword & (kind == "nonwords")) | (kind == "noise")
    ideal = expit(np.where(unknown, 0, z))
    texts = [
        ("zoonimap " if i % 4 == 0 else "the ") + " ".join(WORDS[int(d)] for d in str(i))
        for i in group
    ]
    frame = pd.DataFrame(
        {
            "id": [f"c{i}" for i in range(len(group))],
            "audio": "none.wav",
            "expected_text": texts,
            "match": (rng.random(len(group)) < ideal).astype(int),
        }
    )
    given = {
        "too sure": 2.5 * z,
        "shifted": z - 1,
        "noise": rng.normal(0, 0.4, len(group)),
    }.get(kind, z)
    return expit(given), ideal, Clips(frame).with_groups(list(map(str, group)))


if __name__ == "__main__":
    main()
