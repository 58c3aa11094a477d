"""What `transcript_bert.py` and `synthesised.py` share: folds of clips, and numbers by them."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from audiomatch import Run
from audiomatch.calibration import expit, logits_of
from audiomatch.folds import Folds, make_folds
from audiomatch.inputs import take_in
from audiomatch.linear import Linear
from audiomatch.progress import LineProgress
from audiomatch.scoring.metrics import auroc, log_loss

SMALLEST = 1e-6
LEAST_SCALE = 1e-3
Vector = NDArray[np.float64]


def arguments(doc: str) -> argparse.ArgumentParser:
    """Return what reads the options that both have, given the script's docstring."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("data", nargs="?", default="mini-screener")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--run", type=Path, help="Run folder of the same clips and folds.")
    parser.add_argument("--out", type=Path, required=True, help="Folder for what is cached.")
    return parser


def folds_of(options: argparse.Namespace) -> tuple[Folds, Run]:
    """Return the folds that the options of `arguments` ask for, and how to run on them."""
    run = Run(cache=options.out / "cache", workers=2, progress=LineProgress())
    clips = take_in(options.data, run, labelled=True, limit=options.limit)[0].clips
    return make_folds(clips, options.folds, seed=options.seed), run


def by_numbers(folds: Folds, numbers: Vector, seed: int) -> Vector:
    """Return P(match) of each clip by a logistic of `numbers`, (n, width), of the other folds."""
    clips, found = folds.clips, np.empty(len(folds.clips))
    for fold in range(folds.k):
        rest, held_out = np.flatnonzero(folds.of != fold), np.flatnonzero(folds.of == fold)
        fitted = Linear.fit(numbers[rest], clips.take(rest), seed, least_scale=LEAST_SCALE)
        found[held_out] = expit(fitted(numbers[held_out]))
    return found


def stacked(
    folds: Folds, what: str, numbers: Vector, folder: Path | None, seed: int
) -> dict[str, Vector]:
    """Return P(match) by each matcher of a run, by its logit alone, and beside `numbers`.

    `what` says what the numbers, (n, width), are.

    Raises `KeyError` where the run has not predicted a clip.
    """
    if folder is None:
        return {}
    table, ways = pd.read_parquet(folder / "predictions.parquet"), {}
    for name, rows in table[table["repeat"] == 0].groupby("matcher"):
        p = rows.set_index("id")["p_match"].loc[folds.clips.ids].to_numpy(np.float64)
        logits = logits_of(p, SMALLEST)[:, None]
        ways[f"{name}"] = p
        ways[f"{name}, its logit refitted"] = by_numbers(folds, logits, seed)
        ways[f"{name} and {what}"] = by_numbers(folds, np.hstack([logits, numbers]), seed)
    return ways


def kept(file: Path, compute: Callable[[], Vector]) -> Vector:
    """Return what stands in `file`, a .npy; computed and written where there is none."""
    if not file.is_file():
        np.save(file, compute())
    return np.asarray(np.load(file), np.float64)


def report(folds: Folds, ways: dict[str, Vector]) -> None:
    """Print the log loss and AUROC of each way."""
    labels = folds.clips.labels
    print(f"{len(labels)} clips, {labels.mean():.3f} matches, folds {folds.digest[:12]}")
    for name, p in ways.items():
        print(f"{name:48} {log_loss(labels, p):.3f}, AUROC {auroc(labels, p, folds.of):.3f}")
