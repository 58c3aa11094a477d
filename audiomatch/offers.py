"""A matcher as a plugin offers it: its code, imported when asked for, and checked."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, get_args

from audiomatch.errors import PluginError, UserError, blame_on
from audiomatch.matcher import Flag, Ignored, Kind, Matcher, MatcherInfo, ReadyModel, Untrained
from audiomatch.spec import DEFAULT_PRESET, MatcherSpec

if TYPE_CHECKING:
    from audiomatch.config import MatcherConfig


@dataclass
class Plugin:
    """An installed plugin: its distribution, what it offers, and what is wrong with it.

    Attributes:
        name: the entry point's name.
        distribution: what to install for it.
        version: the distribution's.
        module: what the entry point names.
        offers: what it adds, as `matcher whisper`; the hooks that it listens to by their names.
        problems: a line for each thing that is wrong with it.
    """

    name: str
    distribution: str
    version: str
    module: str
    offers: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}"

    @property
    def error(self) -> str | None:
        """All that is wrong with it in one line, None where nothing is."""
        return "; ".join(self.problems) or None


@dataclass(frozen=True)
class Offer:
    """A matcher and the plugin that offers it.

    Attributes:
        info: what the plugin says of it; without what is wrong, so that it can be listed.
        plugin: who offers it.
        problem: what is wrong with the info as it was given.
    """

    info: MatcherInfo
    plugin: Plugin
    problem: str | None = None

    def __str__(self) -> str:
        origin = f" of {self.plugin}" if self.plugin.module else ""
        return f"matcher {self.info.name!r}{origin}"

    def matcher_type(self) -> type[Matcher]:
        """Import the matcher's code. Raises `PluginError` where it is not what it should be."""
        if self.problem:
            raise PluginError(f"{self}: {self.problem}")
        load = self.info.load
        try:
            with blame_on(f"{self} cannot be loaded"):
                found = import_object(load) if isinstance(load, str) else load()
        except PluginError:
            raise
        except UserError as error:  # no option decides what is loaded
            raise PluginError(f"{self} cannot be loaded: {error}") from error
        with blame_on(str(self)):
            wrong = _wrong_with(found)
        if wrong:
            raise PluginError(f"{self}: {wrong}")
        return found

    def create(self, preset: Mapping[str, Any], options: Mapping[str, Any], label: str) -> Matcher:
        """Make the matcher with the options of a preset and those that the user gave, which win.

        Args:
            preset: as the plugin defines it.
            options: as the user gave them.
            label: names the matcher in errors.

        Raises:
            UserError: an option of the user's that does not exist or is out of range.
            PluginError: code, config, preset or constructor are not what they should be.
        """
        from audiomatch.config import OptionError, build_config

        code = self.matcher_type()
        with blame_on(str(self)):
            try:
                config = build_config(code.Config, {**preset, **options}, label)
            except OptionError as error:
                if _is_of_preset(error.option, preset, options):
                    raise PluginError(f"{self}: its own preset is refused: {error}") from error
                raise
            matcher = code(config)
            matcher.needs_speech = "audio" not in self.info.ignores
            matcher.further_columns = tuple(
                dict.fromkeys([*self.info.columns, *matcher.further_columns])
            )
            return matcher

    def untrained(self, spec: MatcherSpec) -> MatcherSpec | None:
        """Return the floor that is this matcher without training; None where there is none."""
        own = self.info.untrained
        if own is None or own.options.items() <= dict(spec.options).items():
            return None
        told = {**self.info.presets.get(spec.preset, {}), **dict(spec.options)}
        options = {name: str(told[name]) for name in own.same if name in told}
        return MatcherSpec(spec.name, options=tuple(sorted({**options, **own.options}.items())))

    def faults(self) -> list[str]:
        """Import the code and make a matcher by each preset; return a line for each fault."""
        found = []
        for name, preset in {DEFAULT_PRESET: {}, **self.info.presets}.items():
            try:
                self.create(preset, {}, f"{self.info.name}:{name}")
            except PluginError as error:
                found.append(str(error))
            except UserError:
                continue  # an option that users must give
        return list(dict.fromkeys(found))


def import_object(path: str) -> Any:
    """Import what `package.module:Class` names. Raises `ImportError` and `AttributeError`."""
    module, _, name = path.partition(":")
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def checked_offer(info: MatcherInfo, plugin: Plugin) -> Offer:
    """Return the offer of an info with a good name.

    Where another field is of a wrong type the offer holds an empty info and the problem.
    """
    problem = _wrong_field(info)
    if problem is None:
        return Offer(info, plugin)
    return Offer(MatcherInfo(info.name, str(info.summary), ""), plugin, problem)


def _wrong_field(info: MatcherInfo) -> str | None:
    """Say what is wrong with the fields of an info, as far as that shows without its code."""
    by_path = isinstance(info.load, str) and all(info.load.partition(":"))
    flags = isinstance(info.flags, tuple) and all(isinstance(flag, Flag) for flag in info.flags)
    expected = {
        "summary": (isinstance(info.summary, str), "a string"),
        "load": (by_path or callable(info.load), "'package.module:Class' or callable"),
        "presets": (_by_strings(info.presets), "a mapping from names to options"),
        "renamed_presets": (_by_strings(info.renamed_presets), "a mapping between names"),
        "kind": (info.kind in get_args(Kind), " or ".join(get_args(Kind))),
        "ignores": (
            isinstance(info.ignores, frozenset | set) and info.ignores <= {*get_args(Ignored)},
            f"a set of {' and '.join(get_args(Ignored))}",
        ),
        "member": (isinstance(info.member, str | None), "the name of a preset"),
        "flags": (flags, "a tuple of Flag"),
        "columns": (_names(info.columns), "a tuple of names of columns, 'match' not among them"),
        "ready": (isinstance(info.ready, ReadyModel | None), "a ReadyModel"),
        "untrained": (isinstance(info.untrained, Untrained | None), "an Untrained"),
    }
    for name, (good, wanted) in expected.items():
        if not good:
            return f"its {name}: must be {wanted} (given {getattr(info, name)!r})"
    for name, options in info.presets.items():
        if not _by_strings(options):
            wanted = "a mapping from options to values"
            return f"its preset {name!r}: must be {wanted} (given {options!r})"
    return None


def _names(found: object) -> bool:
    return isinstance(found, tuple) and all(isinstance(n, str) and n != "match" for n in found)


def _by_strings(found: object) -> bool:
    return isinstance(found, Mapping) and all(isinstance(key, str) for key in found)


def _is_of_preset(option: str, preset: Mapping[str, Any], options: Mapping[str, Any]) -> bool:
    """Whether an option at fault, or with "" all of them together, is the plugin's own doing."""
    if option:
        return option in preset and option not in options
    return bool(preset) and not options


def _wrong_with(found: Any) -> str | None:
    """Say why what `load` gave is no class to make matchers of, None where it is one."""
    from audiomatch.config import MatcherConfig

    if not isinstance(found, type) or not issubclass(found, Matcher):
        return f"{found!r} is no subclass of audiomatch.Matcher"
    config: type[MatcherConfig] | None = getattr(found, "Config", None)
    if config is None:
        return f"{found.__name__} has no Config"
    if not isinstance(config, type) or not issubclass(config, MatcherConfig):
        return (
            f"the Config of {found.__name__} is {config!r}; "
            "must be a subclass of audiomatch.config.MatcherConfig"
        )
    if inspect.isabstract(found):
        missing = ", ".join(sorted(found.__abstractmethods__))
        return f"{found.__name__} does not define {missing}"
    return None
