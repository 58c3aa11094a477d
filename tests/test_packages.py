"""The wheels as a stranger meets them: built, installed by name from a folder, and used.

Third-party packages are those of this environment, through links; nothing is downloaded.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECTS = [ROOT, *sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))]
EXTRAS = "whisper,boosting-cpu,clap,asr,ctc,phones,two-tower,serve,datasets,ray,mlflow"
INSTALLED = f"audiomatch-toolkit[{EXTRAS}]"
each_project = pytest.mark.parametrize("project", PROJECTS, ids=lambda path: path.name)


def run(*command: str | Path, cwd: Path) -> str:
    """Run a program that must succeed, in an environment that has no audiomatch."""
    kept = {name: os.environ[name] for name in ("PATH", "TMPDIR", "HOME") if name in os.environ}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**kept, "AUDIOMATCH_CACHE": str(cwd / "cache"), "PIP_NO_INDEX": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def declared(project: Path) -> dict[str, object]:
    content = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    metadata: dict[str, object] = content["project"]
    return metadata


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a wheel of each project."""
    folder = tmp_path_factory.mktemp("wheels")
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    run(*build, "--quiet", "--wheel-dir", folder, *PROJECTS, cwd=folder)
    assert len(list(folder.glob("*.whl"))) == len(PROJECTS)
    return folder


@pytest.fixture(scope="module")
def python(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment's Python, where pip found everything by name."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", folder / "env", cwd=folder)
    third_party = folder / "third-party"
    third_party.mkdir()
    for entry in third_party_entries():
        (third_party / entry.name).symlink_to(entry)
    made = folder / "env" / "bin" / "python"
    site = run(made, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder)
    (Path(site.strip()) / "third-party.pth").write_text(str(third_party))
    pip(made, "install", "--quiet", "--find-links", wheels, INSTALLED, cwd=folder)
    return made


def third_party_entries() -> list[Path]:
    """List what is installed here and not ours, by the first place that Python finds it in."""
    found: dict[str, Path] = {}
    for folder in map(Path, sys.path):
        if "site-packages" in folder.parts and folder.is_dir():
            for entry in folder.iterdir():
                ours = "audiomatch" in entry.name
                if not ours and entry.suffix != ".pth" and entry.name != "__pycache__":
                    found.setdefault(entry.name, entry)
    return list(found.values())


def pip(python: Path, *arguments: str | Path, cwd: Path) -> str:
    return run(sys.executable, "-m", "pip", "--python", python, *arguments, cwd=cwd)


def metadata_of(wheel: zipfile.ZipFile) -> Message:
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    return Parser().parsestr(wheel.read(name).decode())


def wheel_of(project: Path, wheels: Path) -> Path:
    name = str(declared(project)["name"]).replace("-", "_")
    (wheel,) = wheels.glob(f"{name}-*.whl")
    return wheel


@pytest.mark.packages
@each_project
def test_a_wheel_holds_the_package_and_nothing_else(project: Path, wheels: Path) -> None:
    with zipfile.ZipFile(wheel_of(project, wheels)) as wheel:
        files, metadata = wheel.namelist(), metadata_of(wheel)
    tops = {file.split("/")[0] for file in files}
    (package,) = [top for top in tops if not top.endswith(".dist-info")]
    sources = {
        path.relative_to(project).as_posix()
        for path in (project / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {file for file in files if file.startswith(f"{package}/")} == sources
    assert f"{package}/py.typed" in files
    assert not [file for file in files if Path(file).match("test_*.py")]
    assert any(file.endswith(".dist-info/licenses/LICENSE") for file in files)
    assert (metadata["License-Expression"], metadata["License-File"]) == ("MIT", "LICENSE")


@pytest.mark.packages
def test_the_core_s_wheel_holds_the_clips_and_the_templates(wheels: Path) -> None:
    with zipfile.ZipFile(wheel_of(ROOT, wheels)) as wheel:
        files = wheel.namelist()
    clips = [file for file in files if "/mini_screener/" in file and file.endswith(".ogg")]
    assert len(clips) == len(list(ROOT.glob("audiomatch/**/mini_screener/**/*.ogg"))) > 500
    assert any(file.endswith(".jinja") for file in files)
    assert any(file.endswith("report.html") for file in files)


@pytest.mark.packages
def test_what_was_installed_by_name_works(python: Path, tmp_path: Path) -> None:
    pip(python, "check", cwd=tmp_path)
    where = run(python, "-c", "import audiomatch; print(audiomatch.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(python.parents[1])
    command = python.with_name("audiomatch")
    listed = run(command, "plugins", cwd=tmp_path)
    for project in PROJECTS:
        entry_points = declared(project).get("entry-points", {})
        assert isinstance(entry_points, dict)
        for name in entry_points.get("audiomatch", {}):
            assert name in listed
    out = run(
        *(command, "bench", "--matchers", "base-rate,prior", "--limit", "40", "--folds", "2"),
        cwd=tmp_path,
    )
    assert "base-rate" in out


@pytest.mark.packages
def test_a_new_plugin_installs_and_passes_its_own_test(
    python: Path, wheels: Path, tmp_path: Path
) -> None:
    run(python.with_name("audiomatch"), "new-plugin", "my-model", cwd=tmp_path)
    project = tmp_path / "audiomatch-my-model"
    install = ("install", "--quiet", "--no-build-isolation", "--find-links", wheels)
    pip(python, *install, f"{project}[dev]", cwd=tmp_path)
    tests = ("-m", "pytest", "-p", "no:cacheprovider", project / "tests")
    assert " passed" in run(python, *tests, cwd=tmp_path)


@each_project
def test_every_distribution_describes_itself_alike(project: Path) -> None:
    metadata, core = declared(project), declared(ROOT)
    for key in ("classifiers", "license", "license-files", "requires-python", "urls"):
        assert metadata[key] == core[key], key
    assert metadata["keywords"] and metadata["dynamic"] == ["version"]
    assert (project / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()


def test_all_brings_every_plugin() -> None:
    extras = declared(ROOT)["optional-dependencies"]
    assert isinstance(extras, dict)
    (whole,) = extras["all"]
    named = whole.removeprefix("audiomatch-toolkit[").removesuffix("]").split(",")
    brought = {re.split(r"[\[>]", need)[0] for extra in named for need in extras[extra]}
    plugins = {declared(p)["name"] for p in PROJECTS if "entry-points" in declared(p)}
    assert brought == plugins | {"av", "huggingface-hub", "pocketsphinx"}
