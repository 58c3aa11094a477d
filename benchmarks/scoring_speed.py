"""How long a leaderboard takes to score: `python benchmarks/scoring_speed.py`.

Made-up predictions of as many clips as the literacy-screening challenge has, in five folds.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pandas as pd

from audiomatch.records import FoldSummary
from audiomatch.scoring import build_leaderboard

FOLDS = 5


def predictions(clips: int, groups: int, matchers: int) -> tuple[pd.DataFrame, list[FoldSummary]]:
    """Return predictions of made-up clips of `groups` texts, and what became of each fold."""
    rng = np.random.default_rng(0)
    group = rng.integers(groups, size=clips)
    label = rng.integers(2, size=clips)
    frame = pd.DataFrame(
        {
            "id": [f"{i:06}" for i in range(clips)],
            "fold": group % FOLDS,
            "group": [f"text {g}" for g in group],
            "match": label,
            "task": [f"task {t}" for t in group % 4],
        }
    )
    parts, results = [], []
    for m in range(matchers):
        logits = 2 * (2 * label - 1) + rng.normal(0, 2, groups)[group] + rng.normal(0, 1, clips)
        name = f"matcher-{m}"
        parts.append(frame.assign(matcher=name, p_match=1 / (1 + np.exp(-logits))))
        results += [
            FoldSummary(
                matcher=name, kind="matcher", fold=fold, status="done", config={},
                plugin="made-up", version="0", clips_fit=0, clips_predict=0, seconds_fit=1.0,
                seconds_predict=1.0,
            )
            for fold in range(FOLDS)
        ]  # fmt: skip
    return pd.concat(parts, ignore_index=True), results


def main() -> None:
    """Print CPU seconds and the first row's figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=38_095)
    parser.add_argument("--groups", type=int, default=2_000)
    parser.add_argument("--matchers", type=int, default=8)
    asked = parser.parse_args()
    table, results = predictions(asked.clips, asked.groups, asked.matchers)
    wall, cpu = time.perf_counter(), time.process_time()
    board = build_leaderboard(table, results)
    print(f"{time.process_time() - cpu:.1f} CPU s, {time.perf_counter() - wall:.1f} s")
    row = board.rows[0]
    print(row.log_loss, row.log_loss_low, row.auroc, row.auroc_low, row.auroc_high)
    print(row.calibration_error, row.calibration_error_low, row.brier_high)


if __name__ == "__main__":
    main()
