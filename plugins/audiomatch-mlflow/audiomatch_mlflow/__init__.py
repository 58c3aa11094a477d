"""Writes runs and fits to an MLflow tracking server, where `MLFLOW_TRACKING_URI` names one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from audiomatch import hookimpl

if TYPE_CHECKING:
    from audiomatch.records import Leaderboard, ModelCard

__version__ = "0.2.0"


def _asked() -> bool:
    return bool(os.environ.get("MLFLOW_TRACKING_URI"))


@hookimpl
def audiomatch_run_done(folder: Path, leaderboard: Leaderboard) -> None:
    """Write a finished run; without a server nothing is imported."""
    if _asked():
        from audiomatch_mlflow.bench import track_bench

        track_bench(folder, leaderboard)


@hookimpl
def audiomatch_fit_done(folder: Path, record: ModelCard) -> None:
    """Write a saved model; without a server nothing is imported."""
    if _asked():
        from audiomatch_mlflow.fit import track_fit

        track_fit(folder, record)
