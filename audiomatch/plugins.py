"""Finds and loads plugins one at a time; a broken one is named and hinders nothing else."""

from __future__ import annotations

import functools
import importlib.metadata
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pluggy

import audiomatch
from audiomatch import hookspecs
from audiomatch.errors import RenamedWarning, UserError, cause_of, nearest, unknown
from audiomatch.matcher import Matcher, MatcherInfo
from audiomatch.spec import DEFAULT_PRESET, NAME, MatcherSpec

if TYPE_CHECKING:
    from audiomatch.config import MatcherConfig
    from audiomatch.datasets import DatasetInfo


@dataclass
class Plugin:
    """An installed plugin: its distribution, and why it is broken if it is."""

    name: str
    distribution: str
    version: str
    module: str
    error: str | None = None

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}"


@dataclass(frozen=True)
class Offer:
    """A matcher and the plugin that offers it."""

    info: MatcherInfo
    plugin: Plugin


class Registry:
    """All plugins that are installed, and what they offer."""

    def __init__(self, entry_points: Iterable[importlib.metadata.EntryPoint]) -> None:
        self.manager = pluggy.PluginManager(hookspecs.PROJECT)
        self.manager.add_hookspecs(hookspecs)
        self.plugins: list[Plugin] = []
        self._offers: list[Offer] = []
        self._told: set[str] = set()
        self._layouts: list[tuple[DatasetInfo, Plugin]] = []
        builtin = importlib.metadata.EntryPoint("core", "audiomatch.builtin", hookspecs.PROJECT)
        self._add(
            builtin, Plugin("core", hookspecs.DISTRIBUTION, audiomatch.__version__, builtin.value)
        )
        for entry in sorted(entry_points, key=lambda e: (e.dist.name if e.dist else "", e.name)):
            dist = entry.dist
            name, version = (dist.name, dist.version) if dist else (entry.name, "unknown")
            self._add(entry, Plugin(entry.name, name, version, entry.value))

    def _add(self, entry: importlib.metadata.EntryPoint, plugin: Plugin) -> None:
        self.plugins.append(plugin)
        try:
            module = entry.load()
            key = self.manager.register(module, name=f"{plugin.distribution}:{plugin.name}")
            if key is None:
                raise RuntimeError("the plugin is registered already")
            for caller in self.manager.get_hookcallers(module) or []:
                if not caller.has_spec():
                    known = [n for n in vars(self.manager.hook) if n.startswith("audiomatch_")]
                    known = [n for n in known if getattr(self.manager.hook, n).has_spec()]
                    close = nearest(caller.name, known)
                    self.manager.unregister(module)
                    hint = f"did you mean {close}? " if close else ""
                    raise UserError(
                        f"no hook {caller.name!r}; {hint}hooks: {', '.join(sorted(known))}"
                    )
            self._offers += [Offer(info, plugin) for info in self._ask(module, "matchers")]
            self._layouts += [(info, plugin) for info in self._ask(module, "datasets")]
        except (Exception, SystemExit) as error:
            plugin.error = cause_of(error)

    def _ask(self, module: Any, hook: str) -> list[Any]:
        offer = getattr(module, f"audiomatch_{hook}", None)
        if offer is None:
            return []
        if not hasattr(offer, f"{hookspecs.PROJECT}_impl"):
            raise UserError(f"audiomatch_{hook} is not marked with @audiomatch.hookimpl")
        infos = list(offer())
        for info in infos:
            if hook == "matchers" and not isinstance(info, MatcherInfo):
                raise UserError(f"audiomatch_matchers gave {info!r}; must be a MatcherInfo")
            if not NAME.fullmatch(info.name):
                raise UserError(
                    f"the name {info.name!r} is not of lower-case letters, digits and hyphens"
                )
        return infos

    def matchers(self) -> dict[str, Offer]:
        """Return every matcher by name; raises `UserError` where two plugins offer one name."""
        found: dict[str, Offer] = {}
        for offer in self._offers:
            other = found.setdefault(offer.info.name, offer)
            if other is not offer:
                raise UserError(
                    f"matcher {offer.info.name!r} is offered by both {other.plugin} "
                    f"and {offer.plugin}; uninstall one of them"
                )
        return dict(sorted(found.items()))

    def datasets(self) -> dict[str, DatasetInfo]:
        """Return every dataset layout by name; raises `UserError` on a clash."""
        found: dict[str, tuple[DatasetInfo, Plugin]] = {}
        for info, plugin in self._layouts:
            other = found.setdefault(info.name, (info, plugin))
            if other[0] is not info:
                raise UserError(
                    f"dataset {info.name!r} is offered by both {other[1]} and {plugin}; "
                    "uninstall one of them"
                )
        return {name: info for name, (info, _) in found.items()}

    def offer(self, spec: MatcherSpec) -> Offer:
        """Return the matcher that `spec` names; raises `UserError` for a bad name or preset."""
        offers = self.matchers()
        if spec.name not in offers:
            broken = [p.distribution for p in self.plugins if p.error]
            error = unknown("matcher", spec.name, offers)
            if broken:
                raise UserError(f"{error} (broken: {', '.join(broken)}; see `audiomatch plugins`)")
            raise error
        offer = offers[spec.name]
        self._preset(offer.info, spec)
        return offer

    def create(self, spec: MatcherSpec) -> Matcher:
        """Import the matcher's code and make one with its config checked."""
        offer = self.offer(spec)
        preset = self._preset(offer.info, spec)
        return self.create_with(offer, {**preset, **dict(spec.options)}, str(spec))

    def create_with(self, offer: Offer, options: dict[str, Any], label: str) -> Matcher:
        """Make the offered matcher with `options`; `label` names it in errors."""
        from audiomatch.config import build_config

        try:
            matcher_type = offer.info.load()
        except UserError:
            raise
        except Exception as error:
            raise UserError(
                f"matcher {offer.info.name!r} of {offer.plugin} cannot be loaded: {cause_of(error)}"
            ) from error
        config: MatcherConfig = build_config(matcher_type.Config, options, label)
        return matcher_type(config)

    def _preset(self, info: MatcherInfo, spec: MatcherSpec) -> Mapping[str, Any]:
        """Return the options of the preset that `spec` names, perhaps by an older name."""
        presets = {DEFAULT_PRESET: {}, **info.presets}
        name = info.renamed_presets.get(spec.preset, spec.preset)
        if name not in presets:
            raise unknown(f"preset of {spec.name}", spec.preset, presets)
        if name != spec.preset:
            line = (
                f"{spec.name}:{spec.preset} is called {spec.name}:{name}; "
                "the older name goes with the next release"
            )
            if line not in self._told:
                self._told.add(line)
                warnings.warn(line, RenamedWarning, stacklevel=3)
        return presets[name]

    def tell(self, hook: str, **facts: Any) -> list[str]:
        """Call a listener hook of every plugin; returns a line for each that failed."""
        problems = []
        for implementation in getattr(self.manager.hook, hook).get_hookimpls():
            wanted = {name: facts[name] for name in implementation.argnames}
            try:
                implementation.function(**wanted)
            except Exception as error:
                problems.append(f"{implementation.plugin_name}: {hook} failed: {cause_of(error)}")
        return problems


@functools.cache
def registry() -> Registry:
    """Return the registry of what is installed; made once a process."""
    return Registry(importlib.metadata.entry_points(group=hookspecs.PROJECT))
