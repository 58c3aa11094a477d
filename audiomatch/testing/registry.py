"""The registry of checks, and the loop that runs them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from audiomatch.errors import UserError, cause_of, unknown
from audiomatch.offers import Offer
from audiomatch.testing.results import Failed, Result, Skipped, Status
from audiomatch.testing.subject import Subject

Function = Callable[[Subject], str | None]
# Says why a check does not apply to a matcher; nothing where it does.
Reason = Callable[[Offer], str]


def _none(_offer: Offer) -> str:
    return ""


@dataclass(frozen=True)
class Check:
    """A check.

    Attributes:
        name: as `--only` takes it.
        proves: what passing it shows.
        function: raises where it fails.
        reason_against: why it does not apply to a matcher; empty where it does.
    """

    name: str
    proves: str
    function: Function
    reason_against: Reason = _none


CHECKS: dict[str, Check] = {}


def check(name: str, proves: str, reason_against: Reason = _none) -> Callable[[Function], Function]:
    """Register a check under `name`.

    The function is given the `Subject`. It returns what it measured, or nothing; it raises `Failed`
    with what is wrong, or `Skipped` with why it does not apply. Anything else it raises is a
    failure with that as its cause.
    """

    def register(function: Function) -> Function:
        if name in CHECKS:
            raise ValueError(f"two checks are called {name!r}")
        CHECKS[name] = Check(name, proves, function, reason_against)
        return function

    return register


def choose(
    only: Iterable[str] = (), skip: Iterable[str] = (), expected: Iterable[str] = ()
) -> list[Check]:
    """Return the checks of the names `only`, or all, but for those of `skip`.

    Raises `UserError` for a name that is not there, in `expected` too.
    """
    only, skip = set(only), set(skip)
    for name in (*sorted(only), *sorted(skip), *expected):
        if name not in CHECKS:
            raise unknown("check", name, CHECKS)
    wanted = (only or set(CHECKS)) - skip
    return [found for found in CHECKS.values() if found.name in wanted]


def perform(chosen: Check, subject: Subject, expected: str | None = None) -> Result:
    """Run one check; whatever it raises becomes its result.

    `expected` is why it is known to fail: a failure then is `xfailed`, and passing is a failure.
    """
    started = time.perf_counter()
    status, reason = _outcome(chosen, subject)
    if expected is not None and status == "failed":
        status, reason = "xfailed", f"{expected} ({reason})"
    elif expected is not None and status == "passed":
        status, reason = "failed", f"it was expected to fail ({expected}), and passes"
    return Result(chosen.name, chosen.proves, status, reason, time.perf_counter() - started)


def _outcome(chosen: Check, subject: Subject) -> tuple[Status, str]:
    against = chosen.reason_against(subject.offer)
    if against:
        return "skipped", against
    try:
        return "passed", chosen.function(subject) or ""
    except Skipped as skipped:
        return "skipped", str(skipped)
    except (Failed, UserError) as error:
        return "failed", " ".join(str(error).split())
    except Exception as error:  # noqa: BLE001 - a matcher may raise anything
        return "failed", cause_of(error)
