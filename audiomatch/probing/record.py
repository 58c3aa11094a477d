"""What probes showed of one model."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from audiomatch.records import Behaviour
from audiomatch.records.base import FileRecord

Expect = Literal["exact", "contains"]


class ProbeRecord(FileRecord):
    """What `audiomatch probe --json` prints."""

    model: str = Field(description="the model, as it was named")
    source: str = Field(description="the data")
    expect: Expect = Field(description="whether more than the text may be said")
    threshold: float = Field(description="P(match) from which on a clip is confirmed")
    matches: int = Field(description="matches of the data, of which some were drawn")
    groups: int = Field(description="groups that the matches drawn are of")
    group: str = Field(description="the column whose values intervals are over")
    seed: int = Field(description="seed of the draws")
    behaviours: tuple[Behaviour, ...] = Field(description="one a probe")
    problems: tuple[str, ...] = Field(default=(), description="a line for each probe that failed")
    missing: tuple[str, ...] = Field(
        default=(), description="a line for each probe that lacks a package"
    )
    warnings: tuple[str, ...] = Field(default=(), description="what to know of the figures")

    def behaviour(self, probe: str) -> Behaviour | None:
        """Return what a probe showed; None where it was not planted."""
        return next((one for one in self.behaviours if one.probe == probe), None)

    def broken(self, stay: float | None, fall: float | None) -> list[Behaviour]:
        """Return where less than `stay` is confirmed that is to stay, or more than `fall`."""
        return [one for one in self.behaviours if one.breaks(stay, fall)]
