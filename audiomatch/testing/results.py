"""What a check gives: passed, failed or skipped, with the reason."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

Status = Literal["passed", "failed", "skipped", "xfailed"]
STATUSES: tuple[Status, ...] = get_args(Status)


class Failed(AssertionError):  # noqa: N818 - as pytest names it
    """Raised in a check: the matcher does not keep to the contract, and how that shows."""


class Skipped(Exception):  # noqa: N818 - as pytest names it
    """Raised in a check: it does not apply here, and why."""


class ContractError(AssertionError):
    """A matcher does not keep to the contract; `report` holds what was found."""

    def __init__(self, report: Report) -> None:
        self.report = report
        lines = [f"{result.check}: {result.reason}" for result in report.results_of("failed")]
        super().__init__("\n".join([f"{report.matcher}: {report.summary}", *lines]))


@dataclass(frozen=True)
class Result:
    """One check of one matcher.

    Attributes:
        check: its name, as `--only` takes it.
        proves: what passing it shows.
        status: `passed`, `failed`, `skipped`, or `xfailed` where it fails as it was expected to.
        reason: why it failed or was skipped; with `passed` what was measured, or empty.
        seconds: how long it took, a fit that later checks share counted where it happened.
    """

    check: str
    proves: str
    status: Status
    reason: str
    seconds: float


@dataclass(frozen=True)
class Report:
    """All checks that were run on a matcher."""

    matcher: str
    device: str
    results: tuple[Result, ...]

    def results_of(self, status: Status) -> list[Result]:
        """Return the results with this status."""
        return [result for result in self.results if result.status == status]

    @property
    def summary(self) -> str:
        """The counts, in words: a skip is never counted as passed."""
        found = {status: len(self.results_of(status)) for status in STATUSES}
        counts = [f"{n} {status}" for status, n in found.items() if n or status != "xfailed"]
        return f"{len(self.results)} checks: {', '.join(counts)}"

    def to_json(self) -> dict[str, Any]:
        """Return matcher, device, the counts and the results."""
        return {
            "matcher": self.matcher,
            "device": self.device,
            **{status: len(self.results_of(status)) for status in STATUSES},
            "results": [asdict(result) for result in self.results],
        }
