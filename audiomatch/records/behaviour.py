"""What a matcher does with a planted answer."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from audiomatch.records.base import Record

Expected = Literal["stay", "fall", "report"]


class Behaviour(Record):
    """What a matcher does with answers planted in matches that it has not heard."""

    matcher: str = Field(description="as named on the command line")
    probe: str = Field(description="what was planted")
    expectation: Expected = Field(
        description="what is to become of the match: to `stay` confirmed, to `fall`, or neither"
    )
    n: int = Field(description="the matches in which it was planted")
    confirmed: float | None = Field(description="share of them that is confirmed; null for none")
    low: float | None = Field(description="the lower end of its interval; null without one")
    high: float | None = Field(description="the upper end of its interval")
    loss: float | None = Field(
        description="mean log loss in nats, were the expectation the label; null without one"
    )

    def breaks(self, stay: float | None, fall: float | None) -> bool:
        """Whether less than `stay` is confirmed that is to stay, or more than `fall` of the rest.

        Without a limit nothing breaks it.
        """
        if self.confirmed is None or self.expectation == "report":
            return False
        if self.expectation == "stay":
            return stay is not None and self.confirmed < stay
        return fall is not None and self.confirmed > fall
