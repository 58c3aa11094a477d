"""The checks as parameters of a pytest test, a test for each."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from audiomatch import plugins
from audiomatch.matcher import Run
from audiomatch.testing.checking import Checkable, offer_of, subject_of
from audiomatch.testing.registry import Check, choose, perform
from audiomatch.testing.results import ContractError, Report
from audiomatch.testing.subject import Subject

if TYPE_CHECKING:
    import pytest


def parametrize_with_checks(
    matchers: Sequence[Checkable],
    *,
    skip: Sequence[str] = (),
    expected_failures: Mapping[str, str] | None = None,
    run: Run | None = None,
) -> pytest.MarkDecorator:
    """Make a test of each check of each matcher; decorates a function of `matcher` and `check`.

        @parametrize_with_checks(["speaking-rate", "speaking-rate:letters"])
        def test_contract(matcher, check):
            check(matcher)

    The checks of a matcher share one that is fitted. Checks that do not apply to a matcher, such as
    `explain` where it does not explain, are left out. The test may complete the matcher's name
    before it calls `check`, say by weights that a fixture makes.

    Args:
        matchers: as `check_matcher` takes them.
        skip: names of checks to leave out.
        expected_failures: checks that are known to fail, each with the reason. One that passes all
            the same fails its test, so that the list stays true.
        run: device, precision, seed and cache; where not given the CPU, seed 0 and a fresh cache.

    Raises:
        UserError: no such matcher or check.
    """
    import pytest

    expected = dict(expected_failures or {})
    cases = []
    for matcher in matchers:
        offer = offer_of(matcher)
        label = matcher if isinstance(matcher, str) else offer.info.name
        for chosen in choose(skip=skip, expected=expected):
            if not chosen.reason_against(offer):
                parameter = PytestCheck(chosen, expected.get(chosen.name), run)
                cases.append(pytest.param(matcher, parameter, id=f"{label}-{chosen.name}"))
    return pytest.mark.parametrize(("matcher", "check"), cases)


@dataclass(frozen=True)
class PytestCheck:
    """A check as a test is given it: call it with the matcher."""

    check: Check
    expected: str | None
    run: Run | None

    def __call__(self, matcher: Checkable) -> None:
        """Run the check; raises `ContractError` where it fails, or tells pytest that it skips."""
        import pytest

        subject = _shared.of(matcher, self.run)
        result = perform(self.check, subject, self.expected)
        if result.status == "skipped":
            pytest.skip(result.reason)
        if result.status == "xfailed":
            pytest.xfail(result.reason)
        if result.status == "failed":
            raise ContractError(Report(str(subject.spec), subject.run.device, (result,)))


@dataclass
class _Shared:
    """The matcher under test: one at a time, as tests come sorted by matcher."""

    key: tuple[object, ...] = ()
    folder: tempfile.TemporaryDirectory[str] | None = None
    subject: Subject | None = field(default=None, repr=False)

    def of(self, matcher: Checkable, run: Run | None) -> Subject:
        """Return the subject of the tests before where it is the same matcher, else a new one."""
        key = (matcher, run, plugins.registry())
        if self.subject is None or key != self.key:
            if self.folder is not None:
                self.folder.cleanup()
            self.subject = None
            self.folder = tempfile.TemporaryDirectory(prefix="audiomatch-check-")
            self.subject = subject_of(matcher, Path(self.folder.name).resolve(), run)
            self.key = key
        return self.subject


_shared = _Shared()
