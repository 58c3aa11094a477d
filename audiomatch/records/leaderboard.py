"""Scores, the leaderboard that they make, and what it says of two matchers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Literal

from pydantic import Field

from audiomatch.errors import UserError, unknown
from audiomatch.matcher import Kind
from audiomatch.records.base import FileRecord, FoldStatus, Record, RowStatus, Verdict
from audiomatch.records.behaviour import Behaviour
from audiomatch.records.calibration import Calibrated
from audiomatch.records.difference import Difference
from audiomatch.records.operating import OperatingPoint
from audiomatch.records.training import LearningPoint, RecipeDifference, VariancePart


def _metric(what: str) -> Any:
    return Field(default=None, description=f"{what}; null where it is not defined")


def _end(which: str) -> Any:
    return Field(default=None, description=f"the {which} end of its interval; null without one")


class Scores(Record):
    """The metrics of one matcher on some clips, each with the ends of its interval."""

    n: int = Field(default=0, description="the clips scored")
    groups: int = Field(default=0, description="the groups they are of")
    log_loss: float | None = _metric("mean binary cross-entropy in nats")
    log_loss_low: float | None = _end("lower")
    log_loss_high: float | None = _end("upper")
    skill: float | None = _metric("1 - log loss / that of the share of matches among these clips")
    skill_low: float | None = _end("lower")
    skill_high: float | None = _end("upper")
    auroc: float | None = _metric("area under the ROC curve over pairs of clips of one fold")
    auroc_low: float | None = _end("lower")
    auroc_high: float | None = _end("upper")
    brier: float | None = _metric("Brier score")
    brier_low: float | None = _end("lower")
    brier_high: float | None = _end("upper")
    calibration_error: float | None = _metric(
        "root mean square gap between P(match) and the share of matches, over 15 bins, without "
        "what chance adds"
    )
    calibration_error_low: float | None = _end("lower")
    calibration_error_high: float | None = _end("upper")
    calibration_error_chance: float | None = Field(
        default=None,
        description="the most that a calibrated matcher gets by chance in 95 % of draws; null "
        "without intervals",
    )
    calibration_slope: float | None = _metric(
        "slope of the labels on the logits: under 1 for a matcher too sure of itself"
    )
    calibration_slope_low: float | None = _end("lower")
    calibration_slope_high: float | None = _end("upper")
    calibration_intercept: float | None = _metric(
        "what is to be added to the logits: above 0 for a matcher that says too seldom that clips "
        "match"
    )
    calibration_intercept_low: float | None = _end("lower")
    calibration_intercept_high: float | None = _end("upper")
    recall_at_precision: float | None = _metric(
        "share of the matches found by the threshold that finds most while 95 % of what it takes "
        "are matches"
    )


class _OfFold(Record):
    fold: int = Field(description="the fold, from 0")
    repeat: int = Field(default=0, description="the repeat, from 0")
    status: FoldStatus = Field(description="`done`, `failed` or `skipped`")


class FoldScores(Scores, _OfFold):
    """The scores of one matcher on one fold."""

    base_rate: bool = Field(
        default=False, description="whether its probabilities are hardly more than one base rate"
    )
    seconds_fit: float | None = Field(default=None, description="what fitting took")
    seconds_predict: float | None = Field(default=None, description="what predicting took")
    seconds_features: float = Field(default=0.0, description="of both, what kept features took")
    seconds_cached: float = Field(
        default=0.0, description="what the features that were there took when they were computed"
    )
    peak_memory_mb: float | None = Field(default=None, description="peak resident memory in MiB")
    replayed: bool = Field(default=False, description="whether it was taken from the run folder")
    error: str | None = Field(default=None, description="why it failed or was skipped")


class _OfTask(Record):
    task: str = Field(description="the task; empty for clips without one")


class TaskScores(Scores, _OfTask):
    """The scores of one matcher on one task."""


class _OfGrade(Record):
    grade: str = Field(description="the grade; empty for clips without one")


class GradeScores(Scores, _OfGrade):
    """The scores of one matcher on one grade."""


class FoldError(Record):
    """A fold that failed or was skipped."""

    fold: int = Field(description="the fold, from 0")
    repeat: int = Field(default=0, description="the repeat, from 0")
    error: str = Field(description="why")


class _OfMatcher(Record):
    matcher: str = Field(description="as named on the command line")
    label: str = Field(description="the name, with `(scratch)` without pretrained weights")
    kind: Kind = Field(description="`matcher` or `floor`")
    untrained: str = Field(
        default="",
        description="the floor that is this matcher without training, as named; empty where its "
        "plugin names none",
    )
    status: RowStatus = Field(
        description="`done`, `partial` (some folds failed), `failed` (all did) or `skipped` (its "
        "weights, a package or a value cannot be had)"
    )


class Row(Scores, _OfMatcher):
    """One matcher or floor of the leaderboard."""

    folds_done: int = Field(description="folds that finished")
    folds_failed: int = Field(description="folds that failed")
    replayed_folds: int = Field(description="finished folds that the run folder had")
    errors: tuple[FoldError, ...] = Field(default=(), description="what went wrong in which fold")
    warnings: tuple[str, ...] = Field(default=(), description="what the matcher warned of")
    seconds_fit: float | None = Field(
        default=None, description="summed over folds, each as it was when it was computed"
    )
    seconds_predict: float | None = Field(default=None, description="summed likewise")
    seconds_cached: float = Field(
        default=0.0,
        description="beside both, what its features took, once, as far as the cache had them "
        "before its first fold; when they were computed",
    )
    side_by_side: bool = Field(
        default=False, description="whether any of these folds ran beside others"
    )
    clips_per_second: float | None = Field(default=None, description="clips predicted a second")
    peak_memory_mb: float | None = Field(default=None, description="the most of any fold, in MiB")
    own_memory_mb: float | None = Field(
        default=None,
        description="the most that a fold's peak has beyond what its process had before its first "
        "fold, in MiB",
    )
    peak_gpu_memory_mb: float | None = Field(
        default=None, description="the most of any fold, in MB"
    )
    weights: str | None = Field(default=None, description="what the matcher started from")
    by_fold: tuple[FoldScores, ...] = Field(default=(), description="the scores of each fold")
    by_task: tuple[TaskScores, ...] = Field(default=(), description="the scores of each task")
    by_grade: tuple[GradeScores, ...] = Field(default=(), description="the scores of each grade")
    calibrated: Calibrated | None = Field(
        default=None, description="what calibrating makes of it; null where it was not asked for"
    )
    operating: tuple[OperatingPoint, ...] = Field(
        default=(),
        description="what it does where P(match) becomes a verdict: over all clips, and by task "
        "and by grade",
    )
    vs_best: Difference | None = Field(
        default=None,
        description="this matcher against the first; null for the first and the unscored",
    )

    tier: str = Field(
        default="",
        description="compact letters, `a` first: two rows that share one are not shown to differ; "
        "empty where nothing is judged",
    )
    beats_floors: bool | None = Field(
        default=None,
        description="whether its skill is surely above 0 and it is better than each floor of the "
        "table that does not hear; null for a floor, and without intervals",
    )

    @property
    def verdict(self) -> Verdict | None:
        """What is known of it against the first."""
        return self.vs_best.verdict if self.vs_best else None

    @property
    def learned_nothing(self) -> int:
        """Of how many folds its predictions are hardly more than one base rate."""
        return sum(fold.base_rate for fold in self.by_fold)

    @property
    def seconds(self) -> float | None:
        """Seconds of fitting and predicting, and of all its features once; None where not known.

        Whether the cache had the features makes no difference: what they took is counted.
        """
        known = [s for s in (self.seconds_fit, self.seconds_predict) if s is not None]
        return sum(known) + self.seconds_cached if known else None

    @property
    def warm(self) -> bool:
        """Whether features that the cache had are counted among its seconds."""
        return self.seconds_cached >= 0.05  # what the tables show


def deaf_floors(rows: Iterable[Row]) -> list[Row]:
    """Return the floors with scores, without those that are a matcher untrained: these hear."""
    rows = list(rows)
    untrained = {row.untrained for row in rows}
    return [row for row in rows if row.kind == "floor" and row.n and row.matcher not in untrained]


class Leaderboard(FileRecord):
    """`leaderboard.json`: every matcher's scores, and how they compare."""

    VERSION: ClassVar[int] = 2
    HINT: ClassVar[str] = "`audiomatch leaderboard RUN` makes it anew"

    schema_version: Literal[2] = Field(
        default=2, description="the layout of the file; one of another version is refused"
    )
    rows: tuple[Row, ...] = Field(
        description="one a matcher or floor, by rising log loss: `done`, `partial`, then the others"
    )
    comparisons: tuple[Difference, ...] = Field(description="one a pair of rows with scores")
    learning: tuple[LearningPoint, ...] = Field(
        default=(),
        description="log loss by clips learned from, a matcher after another, sizes rising; empty "
        "without --train-sizes",
    )
    behaviours: tuple[Behaviour, ...] = Field(
        default=(), description="one a matcher and probe, of `bench --probe`"
    )
    recipe: tuple[RecipeDifference, ...] = Field(
        default=(),
        description="one a pair of rows that finished every repeat: other folds and training runs; "
        "empty with one repeat",
    )
    variance: tuple[VariancePart, ...] = Field(
        default=(),
        description="what moves the log loss of each matcher, in nats; empty with one repeat",
    )
    n: int = Field(description="clips scored")
    matches: int = Field(description="matches among them")
    groups: int = Field(description="groups they are of")
    folds: int = Field(description="number of folds")
    repeats: int = Field(default=1, description="cross-validations; log losses are means over them")
    cluster: str = Field(description="the columns whose values vary: what intervals are over")
    question: str = Field(description="what the intervals and verdicts are of")
    problem: str | None = Field(
        default=None, description="why there are no intervals and no verdicts; null where there are"
    )
    matters: float = Field(description="nats: a smaller difference is called `equivalent`")
    detectable: float | None = Field(
        default=None,
        description="the difference between two matchers of this table that is found in 80 % of "
        "such runs: the median over its pairs; null without intervals",
    )
    seed: int = Field(description="seed of the draws behind the width of differences")
    confidence: float = Field(description="share that an interval is to cover")
    calibration_bins: int = Field(description="bins of the calibration error")

    def row(self, matcher: str) -> Row:
        """Return the row of `matcher`; raises `UserError` where there is none."""
        for row in self.rows:
            if row.matcher == matcher:
                return row
        raise unknown("row", matcher, [row.matcher for row in self.rows])

    def difference(self, a: str, b: str) -> Difference:
        """Return the log loss of `a` minus that of `b`, paired; raises `UserError`."""
        one, other = self.row(a), self.row(b)
        for pair in self.comparisons:
            if (pair.a, pair.b) == (a, b):
                return pair
            if (pair.a, pair.b) == (b, a):
                return pair.reversed()
        unscored = [row.matcher for row in (one, other) if not row.n]
        why = f"{unscored[0]} has no finished fold" if unscored else "they are one matcher"
        raise UserError(f"{a} and {b} cannot be compared: {why}")
