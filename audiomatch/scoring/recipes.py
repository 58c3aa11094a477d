"""What repeats of a cross-validation tell: of recipes, and of what moves a log loss."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator

import numpy as np
import pandas as pd
from scipy import stats

from audiomatch.folds import BY_TEXT
from audiomatch.records import FoldSummary, RecipeDifference, VariancePart
from audiomatch.records.training import draw_of
from audiomatch.scoring.clip_table import clusters_by
from audiomatch.scoring.clusters import LEAST_FREEDOM, Array, Clusters
from audiomatch.scoring.comparisons import MATTERS, largest_score, verdict_of
from audiomatch.scoring.metrics import clip_losses

SPEAKER = "speaker"


def with_losses(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return predictions of several repeats with each row's `loss`, and the `draw` of its folds."""
    y, p = (predictions[name].to_numpy(np.float64) for name in ("match", "p_match"))
    return predictions.assign(loss=clip_losses(y, p), draw=predictions["repeat"].map(draw_of))


def recipe_differences(
    losses: pd.DataFrame,
    results: Collection[FoldSummary],
    unasked: Collection[Collection[str]] = (),
    *,
    matters: float = MATTERS,
    seed: int = 0,
) -> tuple[RecipeDifference, ...]:
    """Compare each two recipes over parts held out of other folds, by models of other seeds.

    The difference of two is that of their mean losses on each part, a mean over the seeds that it
    was trained from. Its interval is the corrected resampled t (Nadeau and Bengio, 2003; for
    repeated folds Bouckaert and Frank, 2004): the variance of the mean of J parts is
    (1 / J + held out / learned from) times that of one part, for parts share what they learned
    from, with J - 1 degrees of freedom. All intervals hold together, as in `compare_all`.

    Args:
        losses: what `with_losses` gives.
        results: of each fold and repeat. A matcher of which one failed is left out.
        unasked: sets of matchers that are not judged among each other.
        matters: nats; a smaller difference is called equivalent.
        seed: of the draws behind the width of intervals.
    """
    means = losses.groupby(["matcher", "draw", "fold", "repeat"])["loss"].mean()
    parts = means.groupby(["matcher", "draw", "fold"]).mean().unstack("matcher")  # (J, matchers)
    failed = {result.matcher for result in results if not result.done}
    names = [name for name in parts.mean().sort_values().index if name not in failed]
    pairs = list(itertools.combinations(names, 2))
    if not pairs:
        return ()
    one_of = np.stack([(parts[a] - parts[b]).to_numpy(np.float64) for a, b in pairs], axis=1)
    spread = one_of.std(axis=0, ddof=1) if len(one_of) > 1 else np.zeros(len(pairs))
    share = float(np.mean([r.clips_predict / max(r.clips_fit, 1) for r in results]))
    errors = spread * np.sqrt(1 / len(one_of) + share)
    asked = [not any({*pair} <= {*names} for names in unasked) for pair in pairs]
    moves = [
        one_of[:, i] - one_of[:, i].mean() for i, ok in enumerate(asked) if ok and spread[i] > 0
    ]
    score = largest_score(moves, Clusters(np.arange(len(one_of))), seed)
    freedom = len(one_of) - 1
    reach = errors * float(stats.t.ppf(stats.norm.cdf(score), max(freedom, 1)))
    return tuple(
        _difference(pair, one_of[:, i], float(reach[i]), asked[i] and enough, matters)
        for enough in [freedom >= LEAST_FREEDOM]
        for i, pair in enumerate(pairs)
    )


def _difference(
    pair: tuple[str, str], parts: Array, reach: float, judged: bool, matters: float
) -> RecipeDifference:
    value = float(parts.mean())
    low, high = value - reach, value + reach
    return RecipeDifference(
        a=pair[0],
        b=pair[1],
        difference=value,
        low=low if judged else None,
        high=high if judged else None,
        verdict=verdict_of(low, high, matters) if judged else None,
        parts=len(parts),
    )


def variance_parts(losses: pd.DataFrame) -> tuple[VariancePart, ...]:
    """Return what moves the log loss that one cross-validation of each matcher gives.

    Clips: the variance of the mean over clips (CR2) by text, and by speaker where there is such a
    column, each less that by single clips, which is what is left (Cameron, Gelbach and Miller,
    2011). Models: on each part that was held out, `seed` is the variance between the two seeds that
    had the same folds, and `folds` that between folds of the clips' losses less their own means,
    without what the seed adds; both over the number of folds, for a cross-validation has so many
    models. Estimates below 0 are 0. `losses` is what `with_losses` gives.
    """
    found = []
    for matcher, own in losses.groupby("matcher", sort=False):
        for source, variance in (*_of_clips(own), *_of_models(own)):
            deviation = None if variance is None else float(np.sqrt(max(variance, 0.0)))
            found.append(VariancePart(matcher=str(matcher), source=source, deviation=deviation))
    return tuple(found)


def _of_clips(losses: pd.DataFrame) -> Iterator[tuple[str, float | None]]:
    clips = losses.sort_values(["id", "repeat"]).groupby("id").first()
    values = losses.groupby("id")["loss"].mean().to_numpy(np.float64)

    def variance(clusters: Clusters) -> float:
        return float(clusters.covariance((values - values.mean())[:, None])[0, 0])

    alone = variance(Clusters(np.arange(len(values))))
    text = BY_TEXT if BY_TEXT in clips else "group"
    for source, column in (("text", text), ("speaker", SPEAKER)):
        if column in clips and clips[column].fillna("").ne("").any():
            clusters = clusters_by(clips.fillna({column: ""}), column)
            yield source, None if clusters.problem else variance(clusters) - alone
    yield "clip", alone


def _of_models(losses: pd.DataFrame) -> Iterator[tuple[str, float | None]]:
    k = losses["fold"].nunique()
    models = losses.groupby(["draw", "fold", "repeat"])["loss"].mean()
    seeds = models.groupby(["draw", "fold"])
    seed = float(seeds.var().dropna().mean()) / k  # NaN of folds trained from one seed
    by_draw = losses.groupby(["id", "draw", "fold"])["loss"].mean().reset_index()
    apart = by_draw["loss"] - by_draw.groupby("id")["loss"].transform("mean")
    draws = by_draw["draw"].nunique()
    if draws > 1:
        moved = apart.groupby([by_draw["draw"], by_draw["fold"]]).mean()
        between = float((moved**2).mean()) * draws / (draws - 1) / k
        yield "folds", between - seed * float((1 / seeds.size()).mean())
    else:
        yield "folds", None
    yield "seed", seed if np.isfinite(seed) else None
