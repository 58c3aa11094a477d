"""How often one recipe is called different from itself, trained from another seed.

`python benchmarks/recipes.py [--trials N]` makes predictions up; with `--matchers xgboost,lightgbm`
these are fitted on mini-screener instead, each trial on folds of its own. Two questions are asked:
that of the leaderboard (these fitted models, of one cross-validation), and that of the table of
recipes (`bench --repeats`).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from audiomatch import plugins
from audiomatch.clips import Clips
from audiomatch.contract import fit_matcher, predict_matches
from audiomatch.folds import make_folds
from audiomatch.inputs import take_in
from audiomatch.machine import make_run
from audiomatch.matcher import Run
from audiomatch.records import FoldSummary
from audiomatch.records.training import draw_of
from audiomatch.running.splits import whole_splits
from audiomatch.scoring.comparisons import paired_difference
from audiomatch.scoring.recipes import recipe_differences, with_losses
from audiomatch.spec import parse_matcher

Array = NDArray[np.float64]
GROUPS, CLIPS = 60, 9
SEEDS = ("one", "other")


def made_up(trial: int, k: int, repeats: int) -> pd.DataFrame:
    """Return predictions of a recipe trained from two sets of seeds.

    A model moves and scales the logits of its clips, and adds to each; the clips that it learned
    from move the models of both seeds alike.
    """
    rng = np.random.default_rng(trial)
    of = np.repeat(np.arange(GROUPS), CLIPS)
    labels = rng.integers(2, size=len(of))
    usual = np.where(labels == 1, 1.5, -1.5) + rng.normal(0, 1, GROUPS)[of]
    draws = [rng.permutation(GROUPS)[of] % k for _ in range(draw_of(repeats - 1) + 1)]
    learned = rng.normal(0, 0.3, (len(draws), k))
    parts = []
    for repeat in range(repeats):
        fold = draws[draw_of(repeat)]
        for name in SEEDS:
            moved, scaled = rng.normal(0, 0.3, (2, k))
            logits = (usual + rng.normal(0, 1, len(of))) * np.exp(scaled[fold])
            logits += moved[fold] + learned[draw_of(repeat), fold]
            clip = {"id": np.arange(len(of)).astype(str), "group": of, "match": labels}
            run = {"matcher": name, "fold": fold, "repeat": repeat}
            parts.append(pd.DataFrame({**clip, **run, "p_match": 1 / (1 + np.exp(-logits))}))
    return pd.concat(parts, ignore_index=True)


def fitted(matcher: str, clips: Clips, run: Run, trial: int, k: int, repeats: int) -> pd.DataFrame:
    """Return predictions of a matcher trained from two sets of seeds on the same folds."""
    folds = make_folds(clips, k, seed=trial)
    parts = []
    for split in whole_splits(folds, trial, repeats):
        train, held_out = split.parts
        for shift, name in enumerate(SEEDS):
            model = plugins.registry().create(parse_matcher(matcher))
            seeded = replace(run, seed=(split.seed + 1_000_003 * shift) % 2**32, notes={})
            fit_matcher(model, train, seeded)
            known = {"id": held_out.ids, "p_match": predict_matches(model, held_out, seeded)}
            own = folds.clips.take(split.folds.of == split.fold)
            known |= {"group": own.groups, "match": own.labels, "matcher": name}
            parts.append(pd.DataFrame({**known, "fold": split.fold, "repeat": split.repeat}))
    return pd.concat(parts, ignore_index=True)


def called_different(predictions: pd.DataFrame, k: int) -> tuple[bool, bool]:
    """Tell whether the two are called different: the models of the first repeat, the recipes."""
    first = predictions[predictions["repeat"] == 0].sort_values(["matcher", "id"])
    one, other = (first[first["matcher"] == name] for name in SEEDS)
    p = one["p_match"], other["p_match"]
    models = paired_difference(one["match"], *p, one["group"].to_numpy()).verdict
    n = len(one)
    facts = {"clips_fit": n - n // k, "clips_predict": n // k, "status": "done"}
    result = FoldSummary(matcher="one", fold=0, seconds_fit=0, seconds_predict=0, **facts)
    (pair,) = recipe_differences(with_losses(predictions), [result])
    return models in ("better", "worse"), pair.verdict in ("better", "worse")


def rates(
    draw: Callable[[int, int, int], pd.DataFrame], trials: int, k: int, repeats: int
) -> Sequence[float]:
    """Return how often each question is answered by `different`."""
    found = [called_different(draw(trial, k, repeats), k) for trial in range(trials)]
    return [float(share) for share in np.mean(found, axis=0)]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--matchers", default="")
    given = parser.parse_args()
    print("| | folds | repeats | these models | recipes |\n|:--|--:|--:|--:|--:|")
    if not given.matchers:
        for k, repeats in ((3, 4), (3, 10), (5, 2), (5, 4), (5, 10)):
            models, recipes = rates(made_up, given.trials, k, repeats)
            print(f"| made up | {k} | {repeats} | {models:.1%} | {recipes:.1%} |", flush=True)
        return
    run = make_run("cpu")
    clips = take_in(None, run, True)[0].clips
    for matcher in given.matchers.split(","):
        draw = partial(fitted, matcher, clips, run)
        models, recipes = rates(draw, given.trials, 3, 4)
        print(f"| {matcher} | 3 | 4 | {models:.1%} | {recipes:.1%} |", flush=True)


if __name__ == "__main__":
    main()
