from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from audiomatch.plugins import Registry
from tests.toys import toy_plugin

COMMAND = "from audiomatch.cli import main; main()"
PIP = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
EXAMPLES = Path(__file__).parents[1] / "examples"
EXAMPLE = EXAMPLES / "audiomatch-speaking-rate"
TORCH_EXAMPLE = EXAMPLES / "audiomatch-small-cnn"
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as written for a name with a hyphen and a digit."""
    folder = tmp_path_factory.mktemp("made")
    subprocess.run(
        [sys.executable, "-c", COMMAND, "new-plugin", "my-model2", "--folder", str(folder)],
        check=True,
    )
    return folder / "audiomatch-my-model2"


@pytest.fixture(scope="module")
def environment(made: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment where pip installed it and the examples, as `test_plugins.py` does."""
    target = tmp_path_factory.mktemp("site")
    subprocess.run(
        [*PIP, "--no-index", "--target", str(target), str(made), str(EXAMPLE), str(TORCH_EXAMPLE)],
        check=True,
        capture_output=True,
    )
    root = str(Path(__file__).parents[1])
    path = os.pathsep.join([str(target), root])
    return {"PYTHONPATH": path, "PATH": "", "HOME": str(tmp_path_factory.mktemp("home"))}


def run(
    environment: dict[str, str], cwd: Path, *arguments: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], env=environment, cwd=cwd, capture_output=True, text=True
    )


def test_it_is_short(made: Path) -> None:
    files = [file for file in made.rglob("*") if file.suffix in (".py", ".md", ".toml")]
    assert len(files) == 5
    assert sum(len(file.read_text().splitlines()) for file in files) < 150
    assert max(len(line) for file in files for line in file.read_text().splitlines()) <= 100


@pytest.mark.parametrize(
    ("name", "only"),
    [
        ("speaking-rate", ["--only", "stray-files"]),
        # The same checks are its own tests.
        pytest.param("my-model2", [], marks=pytest.mark.slow),
        pytest.param("speaking-rate", [], marks=pytest.mark.slow),
        pytest.param("speaking-rate:letters", [], marks=pytest.mark.slow),
    ],
)
def test_it_passes_check(
    name: str, only: list[str], environment: dict[str, str], tmp_path: Path
) -> None:
    done = run(environment, tmp_path, "-c", COMMAND, "check", name, "--device", "cpu", *only)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 failed, " in done.stdout


@pytest.mark.parametrize(
    "which", ["made", "example", pytest.param("torch-example", marks=pytest.mark.plugins)]
)
def test_its_own_tests_pass(
    which: str, environment: dict[str, str], made: Path, tmp_path: Path
) -> None:
    tests = {"made": made, "example": EXAMPLE, "torch-example": TORCH_EXAMPLE}[which] / "tests"
    done = run(environment, tmp_path, "-m", "pytest", "-rs", "-p", "no:cacheprovider", str(tests))
    assert done.returncode == 0, done.stdout
    assert "passed" in done.stdout
    skipped = [line for line in done.stdout.splitlines() if line.startswith("SKIPPED")]
    assert all(line.endswith(": no CUDA device here") for line in skipped), skipped


def test_names_that_will_not_do(
    command: Command, plugin: Callable[..., Registry], tmp_path: Path
) -> None:
    plugin(toy=toy_plugin())
    for name, message in {
        "My-Model": "'My-Model' must be of lower-case letters",
        "two--hyphens": "must be of lower-case letters",
        "../evil": "must be of lower-case letters",
        "toy": "the matcher 'toy' is there already, from toy",
        "base-rate": "'base-rate' is there already, from audiomatch",
    }.items():
        code, out, err = command("new-plugin", name, "--folder", tmp_path / "new")
        assert (code, out) == (2, "") and message in err and err.count("\n") == 1
    assert not (tmp_path / "new").exists()


def test_an_installed_package_of_that_name(
    command: Command,
    plugin: Callable[..., Registry],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dist = tmp_path / "audiomatch_kit-1.5.dist-info"
    dist.mkdir()
    (dist / "METADATA").write_text("Metadata-Version: 2.1\nName: audiomatch-kit\nVersion: 1.5\n")
    monkeypatch.syspath_prepend(tmp_path)
    plugin()
    code, _, err = command("new-plugin", "kit", "--folder", tmp_path / "new")
    assert code == 2 and "audiomatch-kit 1.5 is installed already" in err


def test_it_does_not_write_over_anything(command: Command, tmp_path: Path) -> None:
    (tmp_path / "audiomatch-mine").mkdir()
    code, _, err = command("new-plugin", "mine", "--folder", tmp_path)
    assert code == 2 and "audiomatch-mine exists already" in err
    assert not any((tmp_path / "audiomatch-mine").iterdir())
