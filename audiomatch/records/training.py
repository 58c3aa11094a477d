"""What a comparison says beyond its fitted models: of more labels, and of recipes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from audiomatch.records.base import Record, Verdict

Source = Literal["text", "speaker", "clip", "folds", "seed"]
ALL = -1  # the size of a whole training part


class LearningPoint(Record):
    """The log loss of one matcher that learned from so many clips of each training part."""

    matcher: str = Field(description="as named on the command line")
    train_size: int = Field(
        ge=ALL, description="clips asked for; -1 for all, 0 for the ready model of the plugin"
    )
    n_train: float = Field(ge=0, description="clips learned from, the mean over folds")
    log_loss: float = Field(description="over all clips held out, in nats")
    low: float | None = Field(default=None, description="the lower end of its interval")
    high: float | None = Field(default=None, description="the upper end of its interval")
    change: float | None = Field(
        default=None,
        description="this log loss less that of the next smaller size, paired; null for the "
        "smallest and for one after a ready model",
    )
    change_low: float | None = Field(default=None, description="the lower end of its interval")
    change_high: float | None = Field(default=None, description="the upper end of its interval")


class RecipeDifference(Record):
    """The log loss of recipe `a` less that of `b`, over other folds and training runs too."""

    a: str = Field(description="the one matcher")
    b: str = Field(description="the other")
    difference: float = Field(description="the mean over the parts held out, each counting alike")
    low: float | None = Field(
        default=None,
        description="the lower end of its interval, which holds together with those of all pairs; "
        "null with fewer than five parts, and where it is not asked for",
    )
    high: float | None = Field(default=None, description="the upper end of its interval")
    verdict: Verdict | None = Field(
        default=None, description="what the interval says of `a`, as in a Difference"
    )
    parts: int = Field(description="parts held out, over all draws of folds")


class VariancePart(Record):
    """How much one source moves the log loss that a cross-validation of one matcher gives."""

    matcher: str = Field(description="as named on the command line")
    source: Source = Field(
        description="`text`, `speaker`, `clip` (what is left of a clip), `folds` or `seed` (of "
        "training)"
    )
    deviation: float | None = Field(
        description="the standard deviation, in nats; null where it cannot be estimated"
    )


def draw_of(repeat: int) -> int:
    """Return which folds a repeat has: each two have the same, trained from two seeds."""
    return repeat // 2
