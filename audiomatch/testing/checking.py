"""Check a matcher: from its name or class to a report."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from audiomatch import plugins
from audiomatch.matcher import Matcher, MatcherInfo, Run
from audiomatch.offers import checked_offer
from audiomatch.spec import MatcherSpec, parse_matcher
from audiomatch.testing import (  # noqa: F401 - they register
    numbers,
    options,
    processes,
    training,
    words,
)
from audiomatch.testing.registry import choose, perform
from audiomatch.testing.results import ContractError, Report
from audiomatch.testing.subject import NOT_INSTALLED, Subject

Checkable = str | type[Matcher] | MatcherInfo


def check_matcher(
    matcher: Checkable, *, only: Sequence[str] = (), run: Run | None = None
) -> Report:
    """Check that a matcher keeps to the contract, on a toy corpus made on the fly.

    Args:
        matcher: a name as in `audiomatch bench`, with preset and options; or, for one that is not
            installed, its class or its `MatcherInfo`.
        only: names of checks; all where empty.
        run: device, precision, seed and cache; where not given the CPU, seed 0 and a fresh cache.

    Returns:
        The report. A check that does not apply here is `skipped`, with its reason.

    Raises:
        ContractError: an `AssertionError` that lists the checks that failed.
        UserError: no such matcher, option or check, or weights that cannot be had.
    """
    report = run_checks(matcher, only=only, run=run)
    if report.results_of("failed"):
        raise ContractError(report)
    return report


def run_checks(matcher: Checkable, *, only: Sequence[str] = (), run: Run | None = None) -> Report:
    """Do as `check_matcher`, but return the report also where checks failed."""
    chosen = choose(only)
    with tempfile.TemporaryDirectory(prefix="audiomatch-check-") as folder:
        subject = _subject(matcher, Path(folder).resolve(), run)
        progress = subject.run.progress
        results = []
        with progress.task(f"check {subject.spec}", len(chosen), "checks") as task:
            for each in chosen:
                result = perform(each, subject)
                results.append(result)
                why = f": {result.reason}" if result.reason else ""
                progress.say(f"{result.status}  {result.check}{why} ({result.seconds:.1f} s)")
                task.advance()
        return Report(str(subject.spec), subject.run.device, tuple(results))


def _subject(matcher: Checkable, scratch: Path, run: Run | None) -> Subject:
    if isinstance(matcher, str):
        spec = parse_matcher(matcher)
        offer = plugins.registry().offer(spec)
        make = partial(plugins.registry().create, spec)
    else:
        info = matcher if isinstance(matcher, MatcherInfo) else _info_of(matcher)
        spec = MatcherSpec(info.name)
        offer = checked_offer(info, NOT_INSTALLED)
        make = partial(offer.create, {}, {}, info.name)
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
