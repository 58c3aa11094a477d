"""What a comparison says beyond its fitted models: of more labels, and of recipes."""

from __future__ import annotations

from pydantic import Field

from audiomatch.records.base import Record

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
