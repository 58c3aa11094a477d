"""The calibration that was learned for a matcher's probabilities."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from audiomatch.records.base import Record

Method = Literal["none", "platt", "beta", "isotonic"]
Parting = Literal["", "nonword", "task"]


class CurveRecord(Record):
    """From P(match) to a probability, for the clips of one part."""

    part: str = Field(
        description="the part: a task, `nonword` or `words`; empty for the clips of every other"
    )
    numbers: tuple[float, ...] = Field(
        description="of `platt` slope and offset, of `beta` a, b and c, of `isotonic` first the "
        "P(match) and then the probability of each knot"
    )


class CalibrationRecord(Record):
    """A calibration, and what it gained on clips that were held out when it was chosen."""

    method: Method = Field(
        description="`platt`, `beta` or `isotonic`; `none` where none surely helps"
    )
    by: Parting = Field(
        default="", description="what parts the clips: `task`, `nonword`, or nothing"
    )
    curves: tuple[CurveRecord, ...] = Field(default=(), description="one a part")
    tried: str = Field(default="", description="the calibration that did best, kept or not")
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
    by: Parting = Field(default="", description="what parts the clips there")
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
