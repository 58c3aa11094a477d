"""Registers plugins' hooks with pluggy and calls them, one plugin at a time."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar, cast

import pluggy

from audiomatch import hookspecs
from audiomatch.errors import cause_of, nearest
from audiomatch.hookspecs import PROJECT
from audiomatch.offers import Plugin
from audiomatch.spec import NAME

T = TypeVar("T")
KNOWN = hookspecs.hooks()
LISTENERS = {name for name in KNOWN if name.endswith("_done")}


class Hooks:
    """The hooks of the plugins that are sound; what is wrong with one is kept with it."""

    def __init__(self) -> None:
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self._plugins: dict[str, Plugin] = {}

    def add(self, entry: importlib.metadata.EntryPoint, plugin: Plugin) -> None:
        """Import what the entry point names and register its hooks."""
        name = f"{plugin.distribution}:{plugin.name}"
        try:
            module = entry.load()
            plugin.problems += self._wrong_hooks(module)
            if plugin.problems:
                return
            if self._manager.register(module, name=name) is None:
                raise RuntimeError("the plugin is registered already")
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a stranger's code may raise anything
            plugin.problems.append(cause_of(error))
            return
        self._plugins[name] = plugin
        called = {caller.name for caller in self._manager.get_hookcallers(module) or []}
        plugin.offers += sorted(called & LISTENERS)

    def _wrong_hooks(self, module: object) -> Iterator[str]:
        """Say of each hook that cannot work why."""
        for name in dir(module):
            options = self._manager.parse_hookimpl_opts(module, name)
            if options is None:
                if name in KNOWN:
                    yield f"{name} is not marked with @audiomatch.hookimpl"
                continue
            hook = options.get("specname") or name
            for option in ("wrapper", "hookwrapper"):
                if options.get(option):
                    yield f"{hook}: {option}=True has no effect here; there is nothing to wrap"
            if hook not in KNOWN and not options.get("optionalhook"):
                close = nearest(hook, KNOWN)
                hint = f"did you mean {close}? " if close else ""
                yield f"no hook {hook!r}; {hint}hooks: {', '.join(sorted(KNOWN))}"

    def _implementations(self, hook: str) -> list[pluggy.HookImpl]:
        """Return who implements a hook: in order, but `tryfirst` first and `trylast` last."""
        found = getattr(self._manager.hook, hook).get_hookimpls()
        return sorted(found, key=lambda one: (one.trylast, not one.tryfirst))

    def gather(self, hook: str, kind: type[T]) -> Iterator[tuple[str, T, Plugin]]:
        """Give what plugins offer by a hook, each with its name and its plugin.

        What is no `kind` or has no good `name` is a problem of its plugin.
        """
        for implementation in self._implementations(hook):
            plugin = self._plugins[implementation.plugin_name]
            try:
                given = list(cast(Iterable[object], implementation.function()))
            except (Exception, SystemExit) as error:  # noqa: BLE001 - a stranger's code may raise anything
                plugin.problems.append(f"{hook} failed: {cause_of(error)}")
                continue
            for one in given:
                name = getattr(one, "name", None)
                if not isinstance(one, kind):
                    plugin.problems.append(f"{hook} gave {one!r}; must be a {kind.__name__}")
                elif not isinstance(name, str) or not NAME.fullmatch(name):
                    rule = "of lower-case letters, digits and hyphens"
                    plugin.problems.append(f"{hook}: the name {name!r} is not {rule}")
                else:
                    yield name, one, plugin

    def tell(self, hook: str, **facts: Any) -> list[str]:
        """Call a listener hook of every plugin; returns a line for each that failed."""
        problems = []
        for implementation in self._implementations(hook):
            wanted = {name: facts[name] for name in implementation.argnames}
            try:
                implementation.function(**wanted)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - a stranger's code may raise anything
                problems.append(f"{implementation.plugin_name}: {hook} failed: {cause_of(error)}")
        return problems
