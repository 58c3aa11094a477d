"""What more labels are worth: the log loss of each matcher against the clips it learned from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from audiomatch.records import ALL, FoldSummary, LearningPoint
from audiomatch.scoring.clip_table import BY_GROUP, clusters_by
from audiomatch.scoring.clusters import t_interval
from audiomatch.scoring.comparisons import compare_by
from audiomatch.scoring.metrics import clip_losses


def learning_points(
    predictions: pd.DataFrame,
    smaller: pd.DataFrame,
    results: Sequence[FoldSummary],
    cluster: str = BY_GROUP,
) -> tuple[LearningPoint, ...]:
    """Return the points of every matcher, sizes rising; none where `smaller` is empty.

    Args:
        predictions: those after the whole training parts, as `build_leaderboard` takes them.
        smaller: those after less, with a column `train_size`.
        results: what became of each fold of each matcher and size. A size of which a fold failed
            has no point.
        cluster: as for `build_leaderboard`.
    """
    if smaller.empty:
        return ()
    table = pd.concat([smaller, predictions.assign(train_size=ALL)], ignore_index=True)
    table["loss"] = clip_losses(table["match"].to_numpy(float), table["p_match"].to_numpy(float))
    runs: dict[tuple[str, int], list[FoldSummary]] = {}
    for result in results:
        runs.setdefault((result.matcher, result.train_size), []).append(result)
    whole = {place: of for place, of in runs.items() if all(result.done for result in of)}
    matchers = dict.fromkeys(matcher for matcher, _ in whole)
    return tuple(point for matcher in matchers for point in _points(matcher, table, whole, cluster))


def _points(
    matcher: str,
    table: pd.DataFrame,
    runs: dict[tuple[str, int], list[FoldSummary]],
    cluster: str,
) -> Iterator[LearningPoint]:
    sizes = sorted((size for name, size in runs if name == matcher), key=by_size)
    own = table[table["matcher"] == matcher]
    before: pd.Series | None = None
    for size in sizes:
        clips = own[own["train_size"] == size].sort_values("id", ignore_index=True)
        clusters, losses = clusters_by(clips, cluster), clips["loss"]
        found = t_interval(float(losses.mean()), (losses - losses.mean()).to_numpy(float), clusters)
        point = LearningPoint(
            matcher=matcher,
            train_size=size,
            n_train=float(np.mean([fold.clips_fit for fold in runs[matcher, size]])),
            log_loss=float(losses.mean()),
            low=found.low,
            high=found.high,
        )
        if before is not None:
            change = compare_by(("", ""), (losses - before).to_numpy(float), clusters)[""]
            ends = {"change": change.difference, "change_low": change.low}
            point = point.model_copy(update={**ends, "change_high": change.high})
        before = losses if size else None
        yield point


def by_size(size: int) -> float:
    """Order sizes, the whole training part last."""
    return np.inf if size == ALL else size
