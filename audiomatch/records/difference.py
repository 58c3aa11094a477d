"""What is known of the difference between two matchers."""

from __future__ import annotations

from pydantic import Field

from audiomatch.records.base import Record, Verdict

_OTHER_WAY: dict[Verdict | None, Verdict] = {"better": "worse", "worse": "better"}


class Difference(Record):
    """The log loss of matcher `a` minus that of `b`, paired, over the clips both predicted."""

    a: str = Field(description="the one matcher")
    b: str = Field(description="the other")
    difference: float | None = Field(
        description="log loss of `a` minus that of `b`; null where they share no clip"
    )
    low: float | None = Field(
        description="the lower end of its interval, which holds together with those of all pairs; "
        "null without one"
    )
    high: float | None = Field(description="the upper end of its interval")
    verdict: Verdict | None = Field(
        description="what the interval says of `a`: `better`, `worse`, `equivalent` (it is within "
        "the difference that matters) or `undecided`; null without an interval"
    )
    standard_error: float | None = Field(
        default=None, description="of the difference over groups; null without an interval"
    )
    n: int = Field(description="the clips that both predicted")
    groups: int = Field(description="the groups they are of")

    def reversed(self) -> Difference:
        """Return `b` minus `a`."""
        return Difference(
            a=self.b,
            b=self.a,
            difference=None if self.difference is None else -self.difference,
            low=None if self.high is None else -self.high,
            high=None if self.low is None else -self.low,
            verdict=_OTHER_WAY.get(self.verdict, self.verdict),
            standard_error=self.standard_error,
            n=self.n,
            groups=self.groups,
        )
