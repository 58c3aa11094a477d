"""Who takes part in a comparison: every matcher checked before any work starts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from typing import Any

from audiomatch import plugins
from audiomatch.clips import Clips
from audiomatch.contract import refused_clips
from audiomatch.errors import (
    PluginError,
    UnknownNameError,
    UserError,
    blame_on,
    cause_of,
    unknown,
)
from audiomatch.matcher import Matcher, Run
from audiomatch.offers import Offer
from audiomatch.plugins import Registry
from audiomatch.progress import QuietProgress
from audiomatch.running.executors import InlineExecutor
from audiomatch.running.jobs import Entrant
from audiomatch.spec import MatcherSpec, parse_matcher

ALL_FLOORS, NO_FLOORS, UNTRAINED = "all", "none", "untrained"


def enter(
    registry: Registry,
    specs: Sequence[MatcherSpec],
    executor: Executor | None = None,
    *,
    strict: bool = True,
    floors: str = ALL_FLOORS,
) -> list[Entrant]:
    """Check names, options and weights of all matchers, floors first. Raises `UserError`.

    `floors` are those that stand beside them, see `parse_floors`. A matcher of which some other is
    the trained one is a floor; it comes last, for its features are then kept.

    A matcher whose plugin is at fault takes part with the fault: each of its folds fails by it. One
    that cannot be had as it is asked for, for its weights, a package or a value, is skipped unless
    `strict`, as long as another one named can. The plugins' code runs where `executor` runs it.
    """
    beside = parse_floors(registry, floors)
    asked_floors = [MatcherSpec(name) for name in beside if name != UNTRAINED]
    offers = {spec: registry.offer(spec) for spec in dict.fromkeys([*asked_floors, *specs])}
    asked = executor or InlineExecutor()
    named = {spec: _enter(spec, offers[spec], asked) for spec in specs}
    skipped = [entrant.skipped for entrant in named.values() if entrant.skipped]
    if skipped and (strict or len(skipped) == len(named)):
        raise UserError(skipped[0])
    found = [named.get(spec) or _enter(spec, offer, asked) for spec, offer in offers.items()]
    known = {entrant.label for entrant in found}
    missing = {one.untrained: one for one in found if one.untrained and one.untrained not in known}
    for label in missing if UNTRAINED in beside else ():
        spec = parse_matcher(label)
        entrant = _enter(spec, registry.offer(spec), asked)
        if not (entrant.fault or entrant.skipped):  # which the trained one tells of itself
            found.append(entrant)
    return with_kinds(found)


def parse_floors(registry: Registry, named: str) -> list[str]:
    """Return the floors that `all`, `none`, or names with commas between stand for.

    `untrained` among them is each matcher without its training, where its plugin says what that
    is. Raises `UserError` for a name that is none.
    """
    known = [name for name, one in registry.matchers().items() if one.info.kind == "floor"]
    known.append(UNTRAINED)
    if named in (ALL_FLOORS, NO_FLOORS):
        return known if named == ALL_FLOORS else []
    names = [name.strip() for name in named.split(",")]
    for name in names:
        if name not in known:
            raise unknown("floor", name, [ALL_FLOORS, NO_FLOORS, *known])
    return names


def with_kinds(entrants: Sequence[Entrant]) -> list[Entrant]:
    """Return them, a floor each that is another of them without training."""
    untrained = {entrant.untrained for entrant in entrants}
    return [replace(e, kind="floor") if e.label in untrained else e for e in entrants]


def _enter(spec: MatcherSpec, offer: Offer, executor: Executor) -> Entrant:
    ready, untrained = offer.info.ready is not None, offer.untrained(spec)
    label = "" if untrained is None else str(untrained)
    entrant = Entrant(spec, offer.info.kind, offer.plugin, ready=ready, untrained=label)
    try:
        return replace(entrant, **executor.submit(_facts, entrant).result())
    except UnknownNameError:
        raise
    except PluginError as error:
        return replace(entrant, fault=str(error))
    except Exception as error:  # noqa: BLE001 - whatever an executor lost it by
        return replace(entrant, fault=cause_of(error))


def _facts(entrant: Entrant) -> dict[str, Any]:
    """Return the fields of an entrant that its plugin's code knows, or why it has none."""
    offer = plugins.registry().offer(entrant.spec)
    try:
        with blame_on(str(offer)):
            matcher = plugins.registry().create(entrant.spec)
            return {
                "config": matcher.config.model_dump(mode="json"),
                "fingerprint": dict(matcher.fingerprint()),
                "further_data": tuple(matcher.further_data()),
                "columns": matcher.further_columns,
                "may_refuse": type(matcher).refuses is not Matcher.refuses,
            }
    except UnknownNameError:
        raise
    except PluginError as error:
        return {"skipped" if _misses_package(error, offer) else "fault": str(error)}
    except UserError as error:
        return {"skipped": str(error)}


def _misses_package(error: BaseException, offer: Offer) -> bool:
    """Whether a plugin's code could not be loaded for want of another's package."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ModuleNotFoundError):
        cause = cause.__cause__
    missing = (cause.name or "") if cause else ""
    return missing.partition(".")[0] not in ("", offer.plugin.module.partition(".")[0])


def enter_kept(
    registry: Registry, names: Iterable[str], executor: Executor, say: Callable[[str], None]
) -> list[Entrant]:
    """Return the matchers of those names that can still take part; `say` hears of the others."""
    entrants = []
    for name in sorted(names):
        try:
            entrants += enter(registry, [parse_matcher(name)], executor, floors=NO_FLOORS)
        except UserError as error:
            say(f"{name}, of which the run folder has folds, is left out: {error}")
    return entrants


def refusals(
    executor: Executor, entrants: Sequence[Entrant], run: Run, clips: Clips
) -> list[str | None]:
    """Return for each clip why the first matcher that cannot take it refuses it; else None."""
    found: list[str | None] = [None] * len(clips)
    quiet = replace(run, progress=QuietProgress(), notes={})
    for entrant in entrants:
        if not entrant.may_refuse:
            continue
        try:
            with blame_on(f"matcher {entrant.label!r} of {entrant.plugin}"):
                reasons = executor.submit(_reasons, entrant, clips, quiet).result()
        except PluginError as error:  # its folds will tell
            run.progress.say(str(error))
            continue
        for i, reason in enumerate(reasons):
            if reason and not found[i]:
                found[i] = f"{entrant.label}: {reason}"
    return found


def _reasons(entrant: Entrant, clips: Clips, run: Run) -> list[str | None]:
    return refused_clips(plugins.registry().create(entrant.spec), clips, run)
