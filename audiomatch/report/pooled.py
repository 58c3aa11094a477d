"""The held-out predictions of a run, a row a clip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from audiomatch.records import Leaderboard
from audiomatch.scoring.clusters import Array, Clusters
from audiomatch.scoring.leaderboard import clusters_by
from audiomatch.scoring.metrics import clip_losses


@dataclass(frozen=True, eq=False)
class Pooled:
    """The clips once, each matcher's predictions beside them.

    Attributes:
        clips: what is known of each clip, in the order of ids.
        y: their labels, (n,).
        p: by matcher, P(match) of each clip, (n,), NaN where it has none.
        clusters: what the leaderboard's intervals are over.
    """

    clips: pd.DataFrame
    y: Array
    p: Mapping[str, Array]
    clusters: Clusters

    def loss(self, matcher: str) -> Array:
        """Return the log loss of each clip, (n,), NaN where it is not predicted."""
        p = self.p[matcher]
        return np.where(np.isnan(p), np.nan, clip_losses(self.y, np.nan_to_num(p, nan=0.5)))


def pool(predictions: pd.DataFrame, leaderboard: Leaderboard) -> Pooled:
    """Return the predictions of a run, of the first repeat where there are several."""
    if "repeat" in predictions:
        predictions = predictions[predictions["repeat"] == 0]
    clips = predictions.drop_duplicates("id").sort_values("id", ignore_index=True)
    where, p = pd.Index(clips["id"]), {}
    for matcher, part in predictions.groupby("matcher", sort=False):
        values = np.full(len(clips), np.nan)
        values[where.get_indexer(part["id"])] = part["p_match"].to_numpy(np.float64)
        p[str(matcher)] = values
    order = [row.matcher for row in leaderboard.rows if row.matcher in p]
    return Pooled(
        clips=clips.drop(columns=["matcher", "p_match"]),
        y=clips["match"].to_numpy(np.float64),
        p={name: p[name] for name in order},
        clusters=clusters_by(clips, leaderboard.cluster),
    )
