from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from audiomatch import MatcherInfo, NotFittedError, UserError, hookimpl
from audiomatch.datasets import DatasetInfo
from audiomatch.datasets.manifest import open_manifest
from audiomatch.plugins import Registry
from audiomatch.spec import parse_matcher
from tests.toys import Toy, ToyConfig, toy_plugin

Command = Callable[..., tuple[int, str, str]]

EXAMPLE = Path(__file__).parents[1] / "examples" / "audiomatch-speaking-rate"


def test_unknown_matcher_names_the_nearest(plugin: Callable[..., Registry]) -> None:
    registry = plugin(toy=toy_plugin())
    with pytest.raises(UserError, match="no matcher 'tpy'; did you mean 'toy'"):
        registry.create(parse_matcher("tpy"))


def test_unknown_preset_and_option(plugin: Callable[..., Registry]) -> None:
    registry = plugin(toy=toy_plugin())
    with pytest.raises(UserError, match="preset of toy 'week'; did you mean 'weak'"):
        registry.create(parse_matcher("toy:week"))
    with pytest.raises(UserError, match="no option 'strenght'; did you mean 'strength'"):
        registry.create(parse_matcher("toy@strenght=1"))


@pytest.mark.parametrize("value", ["11", "-1", "nan", "much"])
def test_value_out_of_range_is_refused_by_name(plugin: Callable[..., Registry], value: str) -> None:
    registry = plugin(toy=toy_plugin())
    with pytest.raises(UserError, match=r"toy@strength=.*option 'strength'.*given"):
        registry.create(parse_matcher(f"toy@strength={value}"))


def test_options_win_over_the_preset(plugin: Callable[..., Registry]) -> None:
    registry = plugin(toy=toy_plugin())
    assert registry.create(parse_matcher("toy:weak")).config.strength == 0.1
    assert registry.create(parse_matcher("toy:weak@strength=2")).config.strength == 2


def test_a_name_that_two_offer_costs_that_name_alone(
    plugin: Callable[..., Registry], command: Command, corpus: Path, tmp_path: Path
) -> None:
    registry = plugin(first=toy_plugin(), second=toy_plugin())
    wrong = "matcher 'toy' of first unknown: offered by second unknown too; uninstall one"
    with pytest.raises(UserError, match=wrong):
        registry.create(parse_matcher("toy"))
    assert registry.plugins[1].error == registry.plugins[2].error
    assert "'toy' is offered by both first unknown and second" in str(registry.plugins[1].error)
    bench = ("bench", corpus, "--folds", 2, "--floors", "none", "--out", tmp_path / "run")
    code, out, err = command(*bench, "--matchers", "toy,audio-only")
    assert code == 1 and "offered by second unknown too" in out + err
    assert "audio-only" in out
    code, out, _ = command("matchers")
    assert code in (0, 1) and "offered by second" in " ".join(out.split())


def test_broken_hooks_are_named_and_hinder_nothing(plugin: Callable[..., Registry]) -> None:
    unknown_hook = ModuleType("unknown_hook")
    unknown_hook.audiomatch_matcher = hookimpl(lambda: [])  # type: ignore[attr-defined]
    wrong_argument = ModuleType("wrong_argument")
    wrong_argument.audiomatch_run_done = hookimpl(  # type: ignore[attr-defined]
        lambda folders: None
    )
    raising = ModuleType("raising")

    @hookimpl
    def audiomatch_matchers() -> list[MatcherInfo]:
        raise RuntimeError("no luck")

    raising.audiomatch_matchers = audiomatch_matchers  # type: ignore[attr-defined]
    registry = plugin(
        raising=raising,
        toy=toy_plugin(),
        unknown_hook=unknown_hook,
        wrong_argument=wrong_argument,
    )
    errors = {p.name: p.error for p in registry.plugins if p.error}
    assert set(errors) == {"raising", "unknown_hook", "wrong_argument"}
    assert "RuntimeError: no luck" in str(errors["raising"])
    assert "did you mean audiomatch_matchers" in str(errors["unknown_hook"])
    assert "folders" in str(errors["wrong_argument"])
    assert "toy" in registry.matchers()


def test_failing_model_import_is_one_line(plugin: Callable[..., Registry]) -> None:
    module = ModuleType("lazy")

    def load() -> type[Toy]:
        raise ImportError("No module named 'heavy'")

    module.audiomatch_matchers = hookimpl(  # type: ignore[attr-defined]
        lambda: [MatcherInfo("lazy", "cannot load", load)]
    )
    registry = plugin(lazy=module)
    with pytest.raises(UserError, match=r"matcher 'lazy' of lazy .* No module named 'heavy'"):
        registry.create(parse_matcher("lazy"))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip installed the example and a plugin that raises on import."""
    broken = tmp_path_factory.mktemp("broken")
    (broken / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "audiomatch-broken"\nversion = "0.3"\n'
        '[project.entry-points.audiomatch]\nbroken = "audiomatch_broken"\n'
    )
    (broken / "audiomatch_broken").mkdir()
    (broken / "audiomatch_broken" / "__init__.py").write_text("import flux_capacitor\n")
    target = tmp_path_factory.mktemp("site")
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"),
            *("--no-build-isolation", "--target", str(target), str(EXAMPLE), str(broken)),
        ],
        check=True,
        capture_output=True,
    )
    return target


def test_pip_installed_plugins(site: Path, corpus: Path, tmp_path: Path) -> None:
    def audiomatch(*arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", "from audiomatch.cli import main; main()"]
            + [str(argument) for argument in arguments],
            env={"PYTHONPATH": str(site), "AUDIOMATCH_CACHE": str(tmp_path), "PATH": ""},
            capture_output=True,
            text=True,
        )

    assert "speaking-rate" in audiomatch("matchers").stdout
    listed = audiomatch("plugins").stdout
    assert "audiomatch-broken" in listed and "No module named 'flux_capacitor'" in listed
    how = ("--folds", 3, "--floors", "none", "--out", tmp_path / "run")
    ran = audiomatch("bench", corpus, "--matchers", "speaking-rate", *how)
    assert ran.returncode == 0, ran.stderr
    assert "speaking-rate" in ran.stdout


def test_what_is_not_fitted_says_so() -> None:
    toy = Toy(ToyConfig())
    with pytest.raises(NotFittedError, match="Toy is not fitted; call fit or load first"):
        toy.fitted(None)
    assert toy.fitted(0.0) == 0.0
    with pytest.raises(UserError, match="Toy judges a text as a whole"):
        toy.explain(None, None)  # type: ignore[arg-type]


def test_a_layout_that_cannot_tell_costs_itself_alone(
    plugin: Callable[..., Registry], command: Command, corpus: Path, tmp_path: Path
) -> None:
    def offering(name: str, recognises: Callable[[Path], bool]) -> ModuleType:
        def give() -> list[DatasetInfo]:
            return [
                DatasetInfo(name, "a layout", recognises, lambda _, on: open_manifest(corpus, on))
            ]

        return toy_plugin(name=name, audiomatch_datasets=give)

    def fail(path: Path) -> bool:
        raise RuntimeError(f"no luck with {path.name}")

    plugin(bad=offering("bad", fail), good=offering("good", lambda path: path.suffix == ".odd"))
    odd, other = tmp_path / "clips.odd", tmp_path / "clips.other"
    odd.touch(), other.touch()
    line = "dataset 'bad' cannot tell whether {} is its own: RuntimeError: no luck with {}"
    code, _, err = command("fit", "audio-only", odd, "--out", tmp_path / "model")
    assert code == 0 and err.count(line.format(odd, odd.name)) == 1
    code, _, err = command("fit", "audio-only", other, "--out", tmp_path / "model")
    assert code == 2 and line.format(other, other.name) in err and "no known layout" in err
