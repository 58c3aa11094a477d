"""What `bench` asks of an audit before any work."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from audiomatch.auditing.auditor import cheap_audit
from audiomatch.auditing.record import IDS
from audiomatch.errors import UserError, unknown
from audiomatch.folds import Folds
from audiomatch.matcher import Run


def check_allowed(allowed: Collection[str]) -> None:
    """Raise `UserError` for what is no finding's id."""
    for name in allowed:
        if name not in IDS:
            raise unknown("finding", name, IDS)


def audited(folds: Folds, run: Run, given: Collection[str], allowed: Collection[str]) -> Folds:
    """Return the folds once the cheap part of the audit has no error that is not allowed.

    `given` are the columns that matchers are given beside those of every clip. Errors that are
    allowed are added to the warning of the folds, which goes into the results; warnings are told
    to the progress. Raises `UserError`.
    """
    found = cheap_audit(folds, run, given)
    errors = found.of("error")
    stopping = [one for one in errors if one.id not in allowed]
    if stopping:
        more = sorted({one.id for one in stopping[1:]} - {stopping[0].id})
        others = f" (also {', '.join(more)})" if more else ""
        raise UserError(
            f"the audit found {stopping[0].line}{others}; or go on in spite of it: "
            f"{' '.join(f'--allow {name}' for name in [stopping[0].id, *more])}"
        )
    for one in found.of("warning"):
        run.progress.say(f"audit: {one.line}")
    lines = [folds.warning, *(f"allowed in spite of the audit: {one.line}" for one in errors)]
    return replace(folds, warning="; ".join(filter(None, lines)))
