"""Finds plugins and says what is offered; a broken one is named and hinders nothing else."""

from __future__ import annotations

import functools
import importlib.metadata
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import click

import audiomatch
from audiomatch.commands import COMMANDS
from audiomatch.datasets import DatasetInfo
from audiomatch.distributions import extras
from audiomatch.errors import RenamedWarning, UnknownNameError, UserError, nearest, unknown
from audiomatch.hooks import Hooks
from audiomatch.hookspecs import DISTRIBUTION, PROJECT
from audiomatch.matcher import Matcher, MatcherInfo
from audiomatch.offers import Offer, Plugin, checked_offer
from audiomatch.probing.info import Probe, ProbeInfo, wrong_with
from audiomatch.running.executors import ExecutorInfo
from audiomatch.spec import DEFAULT_PRESET, READY, MatcherSpec

T = TypeVar("T")
# What is offered under a name, and by whom; more than one is a clash.
Offered = dict[str, list[tuple[T, Plugin]]]


class Registry:
    """All plugins that are installed, and what they offer."""

    def __init__(self, entry_points: Iterable[importlib.metadata.EntryPoint]) -> None:
        self.plugins: list[Plugin] = []
        self._hooks = Hooks()
        self._told: set[str] = set()
        core = importlib.metadata.EntryPoint("core", "audiomatch.builtin", PROJECT)
        self._add(core, Plugin("core", DISTRIBUTION, audiomatch.__version__, core.value))
        for entry in sorted(entry_points, key=lambda e: (e.dist.name if e.dist else "", e.name)):
            dist = entry.dist
            name, version = (dist.name, dist.version) if dist else (entry.name, "unknown")
            self._add(entry, Plugin(entry.name, name, version, entry.value))
        self._infos = self._offered("matcher", MatcherInfo)
        self._layouts = self._offered("dataset", DatasetInfo)
        self._executors = self._offered("executor", ExecutorInfo)
        self._probes = self._offered("probe", ProbeInfo)
        self._commands = self._offered("command", click.Command)
        self._note_problems()

    def _add(self, entry: importlib.metadata.EntryPoint, plugin: Plugin) -> None:
        self.plugins.append(plugin)
        self._hooks.add(entry, plugin)

    def _offered(self, noun: str, kind: type[T]) -> Offered[T]:
        """Ask the plugins for what they offer by the hook `audiomatch_NOUNs`."""
        found: Offered[T] = {}
        for name, one, plugin in self._hooks.gather(f"{PROJECT}_{noun}s", kind):
            plugin.offers.append(f"{noun} {name}")
            found.setdefault(name, []).append((one, plugin))
        return found

    def _note_problems(self) -> None:
        """Keep with each plugin what of its offers cannot be used."""
        for offered in self._infos.values():
            for info, plugin in offered:
                offer = checked_offer(info, plugin)
                if offer.problem:
                    plugin.problems.append(f"{offer}: {offer.problem}")
        for probes in self._probes.values():
            for probe, plugin in probes:
                if wrong := wrong_with(probe):
                    plugin.problems.append(f"{Probe(probe, plugin)}: {wrong}")
        for name, commands in self._commands.items():
            if name in COMMANDS:
                for _, plugin in commands:
                    plugin.problems.append(f"command {name!r}: audiomatch has its own")
        _note_clashes("matcher", self._infos)
        _note_clashes("dataset", self._layouts)
        _note_clashes("executor", self._executors)
        _note_clashes("probe", self._probes)
        _note_clashes("command", {n: c for n, c in self._commands.items() if n not in COMMANDS})

    def matchers(self) -> dict[str, Offer]:
        """Return every matcher by name; that two plugins offer one is the problem of that one."""
        found = {name: checked_offer(*offered[0]) for name, offered in sorted(self._infos.items())}
        for name, offered in self._infos.items():
            if len(offered) > 1:
                others = " and ".join(str(plugin) for _, plugin in offered[1:])
                problem = f"offered by {others} too; uninstall one of them"
                found[name] = replace(found[name], problem=problem)
        return found

    def datasets(self) -> dict[str, DatasetInfo]:
        """Return every dataset layout by name; one that two plugins offer says so when opened."""
        return {
            name: offered[0][0]
            if len(offered) == 1
            else replace(offered[0][0], open=_raising("dataset", name, offered))
            for name, offered in self._layouts.items()
        }

    def executors(self) -> dict[str, ExecutorInfo]:
        """Return every executor by name; one that two plugins offer says so when it is made."""
        return {
            name: offered[0][0]
            if len(offered) == 1
            else replace(offered[0][0], load=_raising("executor", name, offered))
            for name, offered in self._executors.items()
        }

    def probes(self) -> dict[str, Probe]:
        """Return every probe by name, the core's first; one that two plugins offer says so."""
        found = {}
        for name, offered in self._probes.items():
            info, plugin = offered[0]
            clash = len(offered) > 1
            made = replace(info, plant=_raising("probe", name, offered)) if clash else info
            found[name] = Probe(made, plugin)
        return {name: probe for name, probe in found.items() if wrong_with(probe.info) is None}

    def commands(self) -> dict[str, click.Command]:
        """Return the plugins' commands by name; one that two plugins offer says so when it runs."""
        return {
            name: offered[0][0] if len(offered) == 1 else _refusing("command", name, offered)
            for name, offered in self._commands.items()
            if name not in COMMANDS
        }

    def offer(self, spec: MatcherSpec) -> Offer:
        """Return the matcher that `spec` names; raises `UserError` for a bad name or preset."""
        offers = self.matchers()
        if spec.name not in offers:
            raise self._unknown(spec.name, offers)
        offer = offers[spec.name]
        if not offer.problem:
            self._preset(offer.info, spec)
        return offer

    def _unknown(self, name: str, offers: Mapping[str, Offer]) -> UnknownNameError:
        """Build the error for a matcher that is not there: what to install, what is broken."""
        installed = {plugin.distribution for plugin in self.plugins}
        absent = [extra for extra, brings in extras().items() if not brings & installed]
        close = nearest(name, [*offers, *absent])
        if close in absent:
            hint = "" if close == name else f"did you mean {close!r}? "
            return UnknownNameError(
                f"no matcher {name!r}; {hint}pip install '{DISTRIBUTION}[{close}]'"
            )
        error = unknown("matcher", name, offers)
        broken = [plugin.distribution for plugin in self.plugins if plugin.problems]
        if broken:
            return UnknownNameError(
                f"{error} (broken: {', '.join(broken)}; see `audiomatch plugins`)"
            )
        return error

    def create(self, spec: MatcherSpec) -> Matcher:
        """Import the matcher's code and make one with its config checked.

        Raises `UserError` for what the user named wrongly, its subclass `PluginError` for what the
        plugin does wrongly.
        """
        offer = self.offer(spec)
        preset = {} if offer.problem else self._preset(offer.info, spec)
        return offer.create(preset, dict(spec.options), str(spec))

    def _preset(self, info: MatcherInfo, spec: MatcherSpec) -> Mapping[str, Any]:
        """Return the options of the preset that `spec` names, perhaps by an older name."""
        presets = {DEFAULT_PRESET: {}, **info.presets}
        name = info.renamed_presets.get(spec.preset, spec.preset)
        if info.ready and spec.preset == READY.removeprefix(":"):
            raise UserError(
                f"{spec} is fitted already; score, predict, explain, evaluate and serve take it"
            )
        if name not in presets:
            raise unknown(f"preset of {spec.name}", spec.preset, presets)
        if name != spec.preset:
            line = (
                f"{spec.name}:{spec.preset} is called {MatcherSpec(spec.name, name)}; "
                "the older name goes with the next release"
            )
            if line not in self._told:
                self._told.add(line)
                warnings.warn(line, RenamedWarning, stacklevel=3)
        return presets[name]

    def tell(self, hook: str, **facts: Any) -> list[str]:
        """Call a listener hook of every plugin; returns a line for each that failed."""
        return self._hooks.tell(hook, **facts)


@functools.cache
def registry() -> Registry:
    """Return the registry of what is installed; made once a process."""
    return Registry(importlib.metadata.entry_points(group=PROJECT))


def _note_clashes(noun: str, offered: Offered[T]) -> None:
    """Keep with each plugin which of its names another one offers too."""
    for name, found in offered.items():
        for _, plugin in found if len(found) > 1 else ():
            plugin.problems.append(str(_clash(noun, name, found)))


def _raising(noun: str, name: str, offered: list[tuple[T, Plugin]]) -> Callable[..., Any]:
    """Make what stands for the code of those that clash."""

    def refuse(*_: object) -> Any:
        raise _clash(noun, name, offered)

    return refuse


def _clash(noun: str, name: str, offered: list[tuple[T, Plugin]]) -> UserError:
    one, other = (str(plugin) for _, plugin in offered[:2])
    return UserError(f"{noun} {name!r} is offered by both {one} and {other}; uninstall one of them")


def _refusing(noun: str, name: str, offered: list[tuple[click.Command, Plugin]]) -> click.Command:
    """Make the command that stands for those that clash."""
    error = _clash(noun, name, offered)

    @click.command(name, help=str(error), context_settings={"ignore_unknown_options": True})
    @click.argument("arguments", nargs=-1)
    def refuse(arguments: tuple[str, ...]) -> None:  # noqa: ARG001 - click passes it by name
        raise error

    return refuse
