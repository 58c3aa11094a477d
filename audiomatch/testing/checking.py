"""Check a matcher: from its name or class to a report."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from audiomatch import plugins
from audiomatch.matcher import Matcher, MatcherInfo, Run
from audiomatch.offers import Offer, checked_offer
from audiomatch.spec import MatcherSpec, parse_matcher
from audiomatch.testing import (  # noqa: F401 - they register
    numbers,
    options,
    processes,
    spellings,
    states,
    training,
    words,
)
from audiomatch.testing.registry import choose, perform
from audiomatch.testing.results import ContractError, Report
from audiomatch.testing.subject import NOT_INSTALLED, Subject

Checkable = str | type[Matcher] | MatcherInfo


def check_matcher(
    matcher: Checkable,
    *,
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    expected_failures: Mapping[str, str] | None = None,
    run: Run | None = None,
) -> Report:
    """Check that a matcher keeps to the contract, on a toy corpus made on the fly.

    Args:
        matcher: a name as in `audiomatch bench`, with preset and options; or, for one that is not
            installed, its class or its `MatcherInfo`.
        only: names of checks; all where empty.
        skip: names of checks to leave out.
        expected_failures: checks that are known to fail, each with the reason; one that passes all
            the same is a failure.
        run: device, precision, seed and cache; where not given the CPU, seed 0 and a fresh cache.

    Returns:
        The report. A check that does not apply here is `skipped`, with its reason.

    Raises:
        ContractError: an `AssertionError` that lists the checks that failed.
        UserError: no such matcher, option or check, or weights that cannot be had.
    """
    report = run_checks(matcher, only=only, skip=skip, expected_failures=expected_failures, run=run)
    if report.results_of("failed"):
        raise ContractError(report)
    return report


def run_checks(
    matcher: Checkable,
    *,
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    expected_failures: Mapping[str, str] | None = None,
    run: Run | None = None,
) -> Report:
    """Do as `check_matcher`, but return the report also where checks failed."""
    expected = dict(expected_failures or {})
    chosen = choose(only, skip, expected)
    with tempfile.TemporaryDirectory(prefix="audiomatch-check-") as folder:
        subject = subject_of(matcher, Path(folder).resolve(), run)
        progress = subject.run.progress
        results = []
        with progress.task(f"check {subject.spec}", len(chosen), "checks") as task:
            for each in chosen:
                result = perform(each, subject, expected.get(each.name))
                results.append(result)
                why = f": {result.reason}" if result.reason else ""
                progress.say(f"{result.status}  {result.check}{why} ({result.seconds:.1f} s)")
                task.advance()
        return Report(str(subject.spec), subject.run.device, tuple(results))


def offer_of(matcher: Checkable) -> Offer:
    """Return how the matcher is offered. Raises `UserError` for a name that is not there."""
    if isinstance(matcher, str):
        return plugins.registry().offer(parse_matcher(matcher))
    info = matcher if isinstance(matcher, MatcherInfo) else _info_of(matcher)
    return checked_offer(info, NOT_INSTALLED)


def subject_of(matcher: Checkable, scratch: Path, run: Run | None) -> Subject:
    """Return the matcher as the checks are given it, with `scratch` for what they write."""
    offer = offer_of(matcher)
    if isinstance(matcher, str):
        spec = parse_matcher(matcher)
        make = partial(plugins.registry().create, spec)
    else:
        spec = MatcherSpec(offer.info.name)
        make = partial(offer.create, {}, {}, offer.info.name)
    subject = Subject(offer, spec, make, replace(run or Run(cache=scratch / "cache")), scratch)
    subject.make().fingerprint()  # weights that cannot be had are bad input, before any work
    return subject


def _info_of(code: type[Matcher]) -> MatcherInfo:
    return MatcherInfo(
        code.__name__.lower(),
        code.__doc__ or "",
        lambda: code,
        explains=code.explain is not Matcher.explain,
    )
