"""What a matcher does at a threshold."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from audiomatch.records.base import Record

PointKind = Literal["precision", "misses", "abstain", "cost"]


class OperatingPoint(Record):
    """A figure of one matcher where P(match) becomes a verdict.

    The verdicts on a fold's clips are by thresholds that the other folds' clips chose.
    """

    kind: PointKind = Field(
        description="`precision`: recall at a wanted precision of matches; `misses`: false alarms "
        "at a wanted share of missed matches; `abstain`: share left undecided at a wanted "
        "precision of both verdicts; `cost`: expected cost a clip, a wrong verdict being 1"
    )
    target: float = Field(
        description="the precision or share that is wanted, or the cost of leaving one undecided"
    )
    threshold: float | None = Field(
        description="from where on a clip is a match, chosen on all clips; null where none is"
    )
    mismatch_threshold: float | None = Field(
        default=None, description="up to where it is a mismatch, of `abstain` and `cost`"
    )
    value: float | None = Field(description="the figure; null where it is not defined")
    low: float | None = Field(
        default=None, description="the lower end of its interval; null without one"
    )
    high: float | None = Field(default=None, description="the upper end of its interval")
    reached: float | None = Field(
        default=None,
        description="what became of the target on clips that did not choose: the precision of "
        "what was said, or the share missed",
    )
    n: int = Field(default=0, description="the clips that it is a share of")
    groups: int = Field(default=0, description="the groups they are of")
    column: str = Field(default="", description="the column that parts the clips; empty for all")
    part: str = Field(default="", description="the value of that column")
    gap: float | None = Field(
        default=None, description="`value` minus that of the clips outside of the part"
    )
    gap_low: float | None = Field(
        default=None,
        description="the lower end of its interval, which holds together with those of the other "
        "parts of the column; null without one",
    )
    gap_high: float | None = Field(default=None, description="the upper end")
