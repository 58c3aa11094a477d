"""The registry of checks, and the loop that runs them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from audiomatch.errors import UserError, cause_of, unknown
from audiomatch.testing.results import Failed, Result, Skipped, Status
from audiomatch.testing.subject import Subject

Function = Callable[[Subject], str | None]


@dataclass(frozen=True)
class Check:
    """A check: its name, what passing it proves, and the function that raises where it fails."""

    name: str
    proves: str
    function: Function


CHECKS: dict[str, Check] = {}


def check(name: str, proves: str) -> Callable[[Function], Function]:
    """Register a check under `name`.

    The function is given the `Subject`. It returns what it measured, or nothing; it raises `Failed`
    with what is wrong, or `Skipped` with why it does not apply. Anything else it raises is a
    failure with that as its cause.
    """

    def register(function: Function) -> Function:
        if name in CHECKS:
            raise ValueError(f"two checks are called {name!r}")
        CHECKS[name] = Check(name, proves, function)
        return function

    return register


def choose(only: Sequence[str]) -> list[Check]:
    """Return the checks of these names, or all. Raises `UserError` for a name that is not there."""
    for name in only:
        if name not in CHECKS:
            raise unknown("check", name, CHECKS)
    return [found for found in CHECKS.values() if not only or found.name in only]


def perform(chosen: Check, subject: Subject) -> Result:
    """Run one check; whatever it raises becomes its result."""
    started = time.perf_counter()
    status: Status = "failed"
    try:
        reason = chosen.function(subject) or ""
        status = "passed"
    except Skipped as skipped:
        status, reason = "skipped", str(skipped)
    except (Failed, UserError) as error:
        reason = " ".join(str(error).split())
    except Exception as error:  # noqa: BLE001 - a stranger's code may raise anything
        reason = cause_of(error)
    return Result(chosen.name, chosen.proves, status, reason, time.perf_counter() - started)
