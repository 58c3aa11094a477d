"""The leaderboard with all that a run tells: also of smaller training parts, and of recipes."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from audiomatch.records import FoldSummary, Leaderboard
from audiomatch.scoring.clip_table import BY_GROUP
from audiomatch.scoring.comparisons import MATTERS
from audiomatch.scoring.leaderboard import build_leaderboard
from audiomatch.scoring.learning import learning_points
from audiomatch.scoring.recipes import recipe_differences, variance_parts, with_losses


def whole_leaderboard(
    predictions: pd.DataFrame,
    smaller: pd.DataFrame,
    results: Sequence[FoldSummary],
    *,
    cluster: str = BY_GROUP,
    matters: float = MATTERS,
    seed: int = 0,
) -> Leaderboard:
    """Return the leaderboard with all that smaller training parts and repeats tell.

    See `build_leaderboard`, `learning_points`, `recipe_differences` and `variance_parts`. `results`
    are those of all sizes and repeats.
    """
    whole = [result for result in results if result.whole]
    board = build_leaderboard(predictions, whole, cluster=cluster, matters=matters, seed=seed)
    first = [result for result in results if not result.repeat]
    more: dict[str, object] = {
        "learning": learning_points(of_first(predictions), smaller, first, cluster)
    }
    if board.repeats > 1:
        losses = with_losses(predictions)
        floors = {row.matcher for row in board.rows if row.kind == "floor"}
        flat = {row.matcher for row in board.rows if row.learned_nothing == row.folds_done}
        more["recipe"] = recipe_differences(
            losses, whole, (floors, flat), matters=matters, seed=seed
        )
        more["variance"] = variance_parts(losses)
    return board.model_copy(update=more)


def of_first(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return the predictions of the first repeat."""
    return predictions[predictions["repeat"] == 0] if "repeat" in predictions else predictions
