"""Plugins that are wrong, each in one way: they are named, and hinder nothing else."""

from __future__ import annotations

import importlib.metadata
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import click
import pytest
from pydantic import BaseModel, Field, model_validator

from audiomatch import Matcher, MatcherInfo, Run, UserError, hookimpl
from audiomatch.clips import Clips
from audiomatch.config import MatcherConfig
from audiomatch.datasets import DatasetInfo
from audiomatch.errors import PluginError
from audiomatch.machine import versions
from audiomatch.plugins import Registry
from audiomatch.spec import parse_matcher
from tests.toys import Toy, ToyConfig, toy_plugin

Plugin = Callable[..., Registry]
Command = Callable[..., tuple[int, str, str]]


class NoMatcher:
    """Is not derived from `Matcher`."""

    Config = ToyConfig


class NoConfig(Matcher):
    def fit(self, train: Clips, run: Run) -> None: ...
    def predict(self, clips: Clips, run: Run) -> Any: ...
    def save(self, folder: Path) -> None: ...
    def load(self, folder: Path) -> None: ...


class Abstract(Matcher):
    Config = ToyConfig

    def fit(self, train: Clips, run: Run) -> None: ...
    def predict(self, clips: Clips, run: Run) -> Any: ...


@dataclass
class PlainConfig:
    strength: float = 1.0


class OtherConfig(Toy):
    Config = PlainConfig  # type: ignore[assignment]


class PydanticConfig(Toy):
    Config = BaseModel  # type: ignore[assignment]


class Raises(Toy):
    def __init__(self, config: ToyConfig) -> None:
        raise RuntimeError("no luck")


class Exits(Toy):
    def __init__(self, config: ToyConfig) -> None:
        sys.exit(3)


class WildConfig(MatcherConfig):
    name: str = "x"

    @model_validator(mode="before")
    @classmethod
    def _check(cls, value: Any) -> Any:
        raise LookupError("lost")


class Wild(Toy):
    Config = WildConfig


def raising() -> type[Matcher]:
    raise ImportError("No module named 'heavy'")


def complaining() -> type[Matcher]:
    raise UserError("install libgomp")


def offering(**facts: Any) -> ModuleType:
    """Make a plugin of one matcher `sick`, with these facts."""
    info = MatcherInfo(**{"name": "sick", "summary": "", "load": lambda: Toy, **facts})
    return toy_plugin(audiomatch_matchers=lambda: [info])


CODE: dict[str, tuple[Any, str]] = {
    "no matcher": (lambda: NoMatcher, "NoMatcher'> is no subclass of audiomatch.Matcher"),
    "no class": (lambda: 3, "3 is no subclass of audiomatch.Matcher"),
    "no Config": (lambda: NoConfig, "NoConfig has no Config"),
    "abstract": (lambda: Abstract, "Abstract does not define load, save"),
    "dataclass": (lambda: OtherConfig, "must be a subclass of audiomatch.config.MatcherConfig"),
    "pydantic": (lambda: PydanticConfig, "must be a subclass of audiomatch.config.MatcherConfig"),
    "constructor raises": (lambda: Raises, "RuntimeError: no luck"),
    "constructor exits": (lambda: Exits, "SystemExit: 3"),
    "config raises": (lambda: Wild, "LookupError: lost"),
    "load raises": (raising, "cannot be loaded: ImportError: No module named 'heavy'"),
    "load complains": (complaining, "cannot be loaded: install libgomp"),
    "load exits": (lambda: sys.exit("bye"), "cannot be loaded: SystemExit: bye"),
    "no module": ("nowhere.model:Toy", "cannot be loaded: ModuleNotFoundError"),
    "no such class": ("tests.toys:Joy", "cannot be loaded: AttributeError"),
}
FACTS: dict[str, tuple[dict[str, Any], str]] = {
    "no path": ({"load": "tests.toys.Toy"}, "its load: must be 'package.module:Class'"),
    "load is None": ({"load": None}, "its load: must be 'package.module:Class'"),
    "presets are a list": ({"presets": ["quick"]}, "its presets: must be a mapping"),
    "preset is a list": ({"presets": {"quick": ["a"]}}, "its preset 'quick': must be a mapping"),
    "summary is None": ({"summary": None}, "its summary: must be a string (given None)"),
    "kind": ({"kind": "ceiling"}, "its kind: must be matcher or floor (given 'ceiling')"),
    "ignores": ({"ignores": "text"}, "its ignores: must be a set of text and audio"),
    "columns": ({"columns": ("match",)}, "its columns: must be a tuple of names of columns"),
    "flags": ({"flags": ["--x"]}, "its flags: must be a tuple of Flag"),
    "untrained": ({"untrained": "toy@strength=0"}, "its untrained: must be an Untrained"),
}
PRESETS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown option": ({"strenght": 1}, "no option 'strenght'; did you mean 'strength'"),
    "bad value": ({"strength": 11}, "option 'strength': input should be less than"),
}


@pytest.mark.parametrize("fault", CODE)
def test_a_fault_in_the_code_is_the_plugins(plugin: Plugin, command: Command, fault: str) -> None:
    load, says = CODE[fault]
    registry = plugin(bad=offering(load=load), toy=toy_plugin())
    with pytest.raises(PluginError) as caught:
        registry.create(parse_matcher("sick"))
    assert str(caught.value).startswith("matcher 'sick' of bad unknown"), caught.value
    assert says in str(caught.value) and "\n" not in str(caught.value)
    registry.create(parse_matcher("toy"))
    code, out, _ = command("plugins", "--load", "--json")
    assert code == 0 and says in {p["plugin"]: p for p in json.loads(out)}["bad"]["status"]


@pytest.mark.parametrize("fault", FACTS)
def test_a_wrong_fact_is_named_where_matchers_are_listed(
    plugin: Plugin, command: Command, fault: str
) -> None:
    facts, says = FACTS[fault]
    registry = plugin(bad=offering(**facts), toy=toy_plugin())
    with pytest.raises(PluginError) as caught:
        registry.create(parse_matcher("sick:quick"))
    assert says in str(caught.value)
    registry.create(parse_matcher("toy"))
    assert f"broken: {says}" in command("matchers")[1]
    assert says in command("plugins")[1]


@pytest.mark.parametrize("fault", PRESETS)
def test_a_bad_preset_is_the_plugins_a_bad_option_the_users(plugin: Plugin, fault: str) -> None:
    options, says = PRESETS[fault]
    registry = plugin(bad=offering(presets={"quick": options}))
    with pytest.raises(PluginError) as caught:
        registry.create(parse_matcher("sick:quick"))
    assert f"its own preset is refused: sick:quick: {says}" in str(caught.value)
    with pytest.raises(UserError, match="no option 'strenhgt'") as typed:
        registry.create(parse_matcher("sick@strenhgt=1"))
    assert not isinstance(typed.value, PluginError)


def test_in_a_comparison_its_own_row_says_so_and_the_others_run(
    plugin: Plugin, command: Command, corpus: Path, tmp_path: Path
) -> None:
    class Unsure(Toy):
        def fingerprint(self) -> dict[str, str]:
            sys.exit(4)

    faulty = {
        "code": {"load": CODE["no Config"][0]},
        "constructor": {"load": CODE["constructor exits"][0]},
        "facts": FACTS["presets are a list"][0],
        "preset": {"presets": {"quick": {"strenght": 1}}},
        "fingerprint": {"load": lambda: Unsure},
    }
    plugin(toy=toy_plugin(), **{name: offering(name=name, **f) for name, f in faulty.items()})
    names = "code,constructor,facts:quick,preset:quick,fingerprint,toy,preset"
    arguments = ("bench", corpus, "--folds", 2, "--out", tmp_path / "run", "--json")
    code, out, err = command(*arguments, "--matchers", names)
    assert code == 1 and "Traceback" not in err
    rows = {row["matcher"]: row for row in json.loads(out)["rows"]}
    assert rows["toy"]["log_loss"] is not None and rows["preset"]["log_loss"] is not None
    results = json.loads((tmp_path / "run" / "run.json").read_text())["results"]
    errors = {r["matcher"]: r["error"] for r in results if r["status"] == "failed"}
    assert set(errors) == {"code", "constructor", "facts:quick", "preset:quick", "fingerprint"}
    assert errors["code"] == "matcher 'code' of code unknown: NoConfig has no Config"
    assert "SystemExit: 4" in errors["fingerprint"]
    code, _, err = command(*arguments, "--matchers", "toy,code,preset@strenght=1")
    assert code == 2 and len(err.splitlines()) == 1 and "no option 'strenght'" in err


def test_what_the_user_gives_mends_a_preset(plugin: Plugin) -> None:
    registry = plugin(bad=offering(presets={"quick": {"strength": 11}}))
    assert registry.create(parse_matcher("sick:quick@strength=2")).config.strength == 2


@hookimpl(specname="audiomatch_matchers")
def my_offer() -> list[MatcherInfo]:
    return [MatcherInfo("by-specname", "", "tests.toys:Toy")]


@hookimpl(optionalhook=True)
def audiomatch_of_tomorrow() -> None: ...


def test_specname_and_optionalhook_work(plugin: Plugin) -> None:
    module = ModuleType("module")
    module.my_offer = my_offer  # type: ignore[attr-defined]
    module.audiomatch_of_tomorrow = audiomatch_of_tomorrow  # type: ignore[attr-defined]
    registry = plugin(module=module)
    assert registry.plugins[1].error is None
    assert isinstance(registry.create(parse_matcher("by-specname")), Toy)


def test_tryfirst_and_trylast_order_layouts_and_listeners(plugin: Plugin) -> None:
    heard: list[str] = []
    modules = {}
    for name, options in {"a": {"trylast": True}, "b": {}, "c": {"tryfirst": True}}.items():
        layout = DatasetInfo(name, "", lambda path: True, lambda path, labelled: None)  # type: ignore[arg-type, return-value]
        modules[name] = ModuleType(name)
        modules[name].audiomatch_datasets = hookimpl(  # type: ignore[attr-defined]
            lambda layout=layout: [layout], **options
        )
        modules[name].audiomatch_run_done = hookimpl(  # type: ignore[attr-defined]
            lambda name=name: heard.append(name), **options
        )
    registry = plugin(**modules)
    core = ["mini-screener", "drivendata", "manifest"]
    assert list(registry.datasets()) == ["c", *core, "b", "a"]
    assert registry.tell("audiomatch_run_done") == []
    assert heard == ["c", "b", "a"]


@pytest.mark.parametrize("option", ["wrapper", "hookwrapper"])
def test_wrappers_are_refused_by_name(plugin: Plugin, option: str) -> None:
    module = ModuleType("module")
    module.audiomatch_matchers = hookimpl(lambda: [], **{option: True})  # type: ignore[attr-defined, call-overload]
    registry = plugin(module=module, toy=toy_plugin())
    assert f"audiomatch_matchers: {option}=True has no effect here" in str(
        registry.plugins[1].error
    )
    assert "toy" in registry.matchers()


def test_an_entry_point_that_offers_nothing_says_so(plugin: Plugin, command: Command) -> None:
    plugin(empty=ModuleType("empty"), toy=toy_plugin())
    rows = {row["plugin"]: row for row in json.loads(command("plugins", "--json")[1])}
    assert rows["empty"]["status"].startswith("offers nothing") and rows["empty"]["error"] is None
    assert rows["toy"]["status"] == "ok" and rows["toy"]["offers"] == ["matcher toy"]


def test_one_bad_offer_leaves_the_others(plugin: Plugin) -> None:
    good = MatcherInfo("good", "", "tests.toys:Toy")
    bad = MatcherInfo("Bad Name", "", "tests.toys:Toy")
    registry = plugin(mixed=toy_plugin(audiomatch_matchers=lambda: [bad, 3, good]))
    assert "good" in registry.matchers()
    error = str(registry.plugins[1].error)
    assert "the name 'Bad Name' is not of lower-case letters" in error
    assert "audiomatch_matchers gave 3; must be a MatcherInfo" in error


def greeting(name: str = "greet") -> click.Command:
    @click.command(name)
    def greet() -> None:
        """Say hello."""
        click.echo("hello")

    return greet


def commanding(*commands: Any) -> ModuleType:
    return toy_plugin(audiomatch_matchers=lambda: [], audiomatch_commands=lambda: commands)


def test_plugins_offer_commands(plugin: Plugin, command: Command) -> None:
    plugin(polite=commanding(greeting()))
    assert command("greet")[:2] == (0, "hello\n")
    assert "Say hello." in command("--help")[1]
    code, _, err = command("great")
    assert code == 2 and "No such command 'great'" in err


def test_a_command_cannot_take_the_place_of_the_cores_own(plugin: Plugin, command: Command) -> None:
    registry = plugin(rude=commanding(greeting("bench")))
    assert registry.plugins[1].error == "command 'bench': audiomatch has its own"
    assert "Compare matchers" in command("bench", "--help")[1]


def test_commands_that_clash_or_are_broken_are_named(plugin: Plugin, command: Command) -> None:
    def broken() -> Any:
        raise RuntimeError("no luck")

    registry = plugin(
        one=commanding(greeting()),
        two=commanding(greeting()),
        three=commanding(greeting("wave"), "bow"),
        four=toy_plugin(audiomatch_commands=broken),
    )
    errors = {p.name: p.error for p in registry.plugins}
    assert errors["one"] == errors["two"] and "by both one unknown and two" in str(errors["one"])
    assert "audiomatch_commands gave 'bow'; must be a Command" in str(errors["three"])
    assert "audiomatch_commands failed: RuntimeError: no luck" in str(errors["four"])
    code, _, err = command("greet", "--loud", "x")
    assert code == 2 and "command 'greet' is offered by both" in err
    assert command("wave")[0] == 0 and command("matchers")[0] == 0
    assert "toy" in registry.matchers()
    assert command("--help")[0] == 0


def metadata(folder: Path, name: str, version: str, *more: str) -> None:
    place = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    place.mkdir(parents=True)
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *more]
    (place / "METADATA").write_text("\n".join(lines) + "\n")


def test_a_matcher_that_is_not_installed_says_what_to_install(
    plugin: Plugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    requirements = [
        "click>=8.2",
        'audiomatch-whisper[tiny]>=0.2; extra == "whisper"',
        "audiomatch-boosting>=0.2 ; extra == 'xgboost'",
        'audiomatch-toolkit[whisper,xgboost]; extra == "all"',
        'pytest>=8; extra == "dev"',
    ]
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: requirements)
    registry = plugin(toy=toy_plugin())
    for name, says in {
        "whisper": r"no matcher 'whisper'; pip install 'audiomatch-toolkit\[whisper\]'",
        "xgboost:quick": r"no matcher 'xgboost'; pip install 'audiomatch-toolkit\[xgboost\]'",
        "wisper": r"no matcher 'wisper'; did you mean 'whisper'\? pip install 'audio.*\[whisper\]'",
        "all": "no matcher 'all'; there is: ",
        "dev": "no matcher 'dev'; there is: ",
        "tyo": "no matcher 'tyo'; did you mean 'toy'",
    }.items():
        with pytest.raises(UserError, match=says):
            registry.create(parse_matcher(name))


def test_every_matcher_of_ours_is_an_extra() -> None:
    extras = importlib.metadata.metadata("audiomatch-toolkit").get_all("Provides-Extra") or []
    ours = {
        "whisper",
        "xgboost",
        "lightgbm",
        "clap",
        "asr",
        "ctc",
        "hubert-ctc",
        "phones",
        "two-tower",
    }
    assert ours <= set(extras)


def test_the_strangers_distribution_is_told_in_a_line(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command("matchers")[2] == ""
    metadata(tmp_path / "site", "audiomatch", "0.2.2")
    monkeypatch.syspath_prepend(tmp_path / "site")
    code, _, err = command("matchers")
    assert code == 0 and len(err.splitlines()) == 1
    assert "another program, the distribution 'audiomatch' 0.2.2, is installed here too" in err


@pytest.mark.plugins
def test_versions_are_of_what_is_installed_and_declared() -> None:
    found = versions()
    ours = {"python", "audiomatch-toolkit", "audiomatch-whisper", "audiomatch-torch"}
    assert ours | {"numpy", "pandas", "torch", "transformers", "lightgbm"} <= set(found)
    assert {"xgboost", "xgboost-cpu"} & set(found)  # either brings the module
    assert not {"pytest", "ruff"} & set(found)


class ManyConfig(MatcherConfig):
    """Options of every kind."""

    rate: float = Field(0.5, gt=0, le=1, description="How fast.")
    mode: Literal["mean", "most"] = Field("mean", description="Which of both.")
    limit: int | None = Field(None, ge=1, description="At most so many.")
    weights: str = Field(description="Where they are.")


class Many(Toy):
    Config = ManyConfig


def test_a_strangers_matcher_is_shown_with_every_option(plugin: Plugin, command: Command) -> None:
    plugin(many=offering(load=lambda: Many, summary="does much", presets={"fast": {"rate": 1.0}}))
    code, out, _ = command("matchers", "sick")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert code == 0 and "sick: does much (many unknown)" in lines
    assert "fast rate=1.0" in lines
    assert "rate number 0.5 > 0, ≤ 1 How fast." in lines
    assert "mode mean, most 'mean' Which of both." in lines
    assert "limit integer or null None ≥ 1 At most so many." in lines
    assert "weights string Where they are." in lines
    answer = json.loads(command("matchers", "sick:fast", "--json")[1])
    assert answer["presets"] == {"default": [], "fast": ["rate=1.0"]}
    assert answer["options"][0] == {
        "option": "rate",
        "type": "number",
        "default": "0.5",
        "range": "> 0, ≤ 1",
        "meaning": "How fast.",
    }
    code, _, err = command("matchers", "sock")
    assert code == 2 and "no matcher 'sock'; did you mean 'sick'?" in err
    plugin(bad=offering(load=CODE["no Config"][0]))
    code, _, err = command("matchers", "sick")
    assert code == 2 and "NoConfig has no Config" in err and len(err.splitlines()) == 1
