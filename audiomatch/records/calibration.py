"""The calibration that was learned for a matcher's probabilities."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from audiomatch.records.base import Record

Method = Literal["none", "platt"]
Column = Literal["", "nonword", "task"]


class CurveRecord(Record):
    """What one part of the clips adds to the slope and the offset of a calibration."""

    column: Column = Field(
        default="", description="what parts the clips: `task`, `nonword`; empty for all clips"
    )
    part: str = Field(default="", description="the part: a task, or `nonword`; empty for all clips")
    slope: float = Field(description="added to that of the logit of P(match)")
    offset: float = Field(description="added to the logit")


class CalibrationRecord(Record):
    """A calibration, and what it gained on clips that were held out when it was learned."""

    method: Method = Field(description="`platt`; `none` where it does not help")
    by: str = Field(
        default="", description="what parts the clips: `nonword`, `task`, both with a +, or nothing"
    )
    curves: tuple[CurveRecord, ...] = Field(
        default=(), description="their sums are a clip's slope and offset"
    )
    unchanged: float = Field(
        default=0.0, description="how much the probabilities as they were weigh in the mean"
    )
    difference: float | None = Field(
        default=None,
        description="its log loss minus the raw one, cross-validated over held-out predictions",
    )
    low: float | None = Field(default=None, description="the lower end of the interval")
    high: float | None = Field(default=None, description="the upper end")
    clips: int = Field(default=0, description="held-out predictions that it was learned from")
    folds: int = Field(default=0, description="inner folds that they are of")


class Calibrated(Record):
    """One matcher's calibrated probabilities beside the raw ones, over the clips that have both."""

    method: Method = Field(
        description="that of most folds in which one was kept; `none` where none was"
    )
    by: str = Field(default="", description="what parts the clips there")
    log_loss: float = Field(description="of the calibrated probabilities")
    low: float | None = Field(
        default=None, description="the lower end of its interval; null without one"
    )
    high: float | None = Field(default=None, description="the upper end of its interval")
    difference: float = Field(description="that log loss minus the raw one, paired")
    difference_low: float | None = Field(default=None, description="the lower end of its interval")
    difference_high: float | None = Field(default=None, description="the upper end")
    kept_folds: int = Field(description="in how many folds a calibration was kept")
    folds: int = Field(description="in how many folds one was looked for")
