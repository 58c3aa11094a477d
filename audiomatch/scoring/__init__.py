"""From held-out predictions to a leaderboard: metrics, intervals, rows, tables."""

from audiomatch.scoring.intervals import Interval, metric_interval, paired_difference
from audiomatch.scoring.leaderboard import build_leaderboard
from audiomatch.scoring.metrics import METRICS, auroc, brier, calibration_error, log_loss
from audiomatch.scoring.table import html_table, leaderboard_table, markdown_table

__all__ = [
    "METRICS",
    "Interval",
    "auroc",
    "brier",
    "build_leaderboard",
    "calibration_error",
    "html_table",
    "leaderboard_table",
    "log_loss",
    "markdown_table",
    "metric_interval",
    "paired_difference",
]
