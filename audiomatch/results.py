"""What `compare` and `evaluate` return: tables to work with, and the records behind them."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import pandas as pd

from audiomatch.records import Difference, Leaderboard, Row, RunRecord
from audiomatch.spec import parse_matcher

# The columns of `Evaluation.leaderboard` and what they are in a record's row.
_COLUMNS = {
    "log_loss": "log_loss",
    "low": "log_loss_low",
    "high": "log_loss_high",
    "skill": "skill",
    "auroc": "auroc",
    "brier": "brier",
    "calibration_error": "calibration_error",
    "seconds": "seconds",
}
_WIDTH = 100


class _Figures(pd.DataFrame):
    """A data frame that is printed whole, with four digits after the point."""

    def __repr__(self) -> str:
        return self.to_string(float_format="{:.4f}".format)


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation:
    """How good the predictions of a model are on labelled clips.

    Shown in a notebook it is the leaderboard's table.

    Attributes:
        record: every figure with its interval, also by task and by grade.
        predictions: a row a clip and matcher: `id`, `matcher`, `fold`, `group`, `match`, `p_match`;
            of a comparison also `expected_text`, `negative`, `task`, `grade` and what columns the
            data have more.
        skipped: a line for each clip left out.
        warnings: a line for each clip that is used and may not be what was meant.
    """

    record: Leaderboard
    predictions: pd.DataFrame
    skipped: tuple[str, ...] = field(default=(), kw_only=True)
    warnings: tuple[str, ...] = field(default=(), kw_only=True)

    @property
    def leaderboard(self) -> pd.DataFrame:
        """The main figures, a row a matcher, the best first; NaN what is not known.

        `low` and `high` are the ends of the log loss's interval, `seconds` are those of fitting and
        predicting.
        """
        rows = self.record.rows
        return _Figures(
            {name: [getattr(row, field) for row in rows] for name, field in _COLUMNS.items()},
            index=pd.Index([row.matcher for row in rows], name="matcher"),
            dtype=float,
        )

    @property
    def scores(self) -> Row:
        """The figures of the best, with their intervals."""
        return self.record.rows[0]

    def __repr__(self) -> str:
        from rich.console import Console

        from audiomatch.scoring import tables

        stream = io.StringIO()
        # In a notebook rich would show the table itself, and write nothing into the stream.
        console = Console(file=stream, width=_WIDTH, force_jupyter=False, color_system=None)
        console.print(*tables(self.record))
        lines = (line.rstrip() for line in [*stream.getvalue().splitlines(), *self.notes()])
        return "\n".join(lines).strip("\n")

    def _repr_html_(self) -> str:
        from audiomatch.scoring import html_table

        notes = "".join(f"<div>{escape(line)}</div>" for line in self.notes())
        return html_table(self.record) + notes

    def notes(self) -> list[str]:
        """Return what to know of the table, below it."""
        return [f"{row.label}: {text}" for row in self.record.rows for text in row.warnings]


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Evaluation):
    """Matchers compared on the same folds: an `Evaluation` of each, and their run folder.

    Attributes:
        folder: the run folder; `report.html` in it is the page to read.
        run: the data, the folds, the settings, and what became of each fold.
    """

    folder: Path
    run: RunRecord

    def difference(self, a: str, b: str) -> Difference:
        """Return the log loss of matcher `a` minus that of `b`, paired, and what is known of it.

        Both are named as they were compared. Raises `UserError` for one that is not there.
        """
        return self.record.difference(str(parse_matcher(a)), str(parse_matcher(b)))

    @property
    def missing(self) -> list[int]:
        """The folds, from 1, that are still to be computed, where one was computed alone."""
        known = Counter(result.fold for result in self.run.results)
        every = max(known.values())
        return [fold + 1 for fold in range(self.run.folds.k) if known[fold] < every]

    @property
    def problems(self) -> list[str]:
        """A line for each fold that failed or is not calibrated, and all else that went wrong.

        That is a matcher that was skipped, and a plugin's listener that failed.
        """
        failed = [
            f"{result.matcher} fold {result.fold + 1}{result.which}: {result.error}"
            if result.status == "failed"
            else f"{result.matcher}: skipped: {result.error}"
            for result in self.run.failures
        ]
        uncalibrated = [
            f"{one.matcher} fold {one.fold + 1}{one.which}: not calibrated: {one.uncalibrated}"
            for one in self.run.results
            if one.uncalibrated
        ]
        return [*failed, *uncalibrated, *self.run.listener_errors]

    def notes(self) -> list[str]:
        """Return what to know of the table, and where the run folder is."""
        warnings = filter(None, [self.run.folds.warning])
        return [*super().notes(), *warnings, f"Run folder: {self.folder}"]
