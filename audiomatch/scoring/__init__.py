"""From held-out predictions to a leaderboard: metrics, intervals, rows, tables."""

from audiomatch.scoring.clusters import Interval
from audiomatch.scoring.comparisons import MATTERS, paired_difference
from audiomatch.scoring.further_tables import tables
from audiomatch.scoring.intervals import metric_interval
from audiomatch.scoring.leaderboard import build_leaderboard
from audiomatch.scoring.metrics import METRICS, auroc, brier, log_loss, recall_at_precision, skill
from audiomatch.scoring.reliability import calibration_error
from audiomatch.scoring.table import html_table, leaderboard_table, markdown_table

__all__ = [
    "MATTERS",
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
    "recall_at_precision",
    "skill",
    "tables",
]
