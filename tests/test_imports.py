"""No package of the repository imports itself in a circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = sorted(
    init.parent
    for place in (ROOT, *ROOT.glob("plugins/*"), *ROOT.glob("examples/*"))
    for init in place.glob("audiomatch*/__init__.py")
)
Graph = dict[str, set[str]]


def modules(package: Path) -> dict[str, Path]:
    """Return every module of a package by its name."""
    found = {}
    for file in package.rglob("*.py"):
        parts = file.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def imports(tree: ast.AST, inside: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    """Give the imports that run when the module is imported, or with `inside` all that may run."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        elif inside or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from imports(node, inside)


def graph(package: Path, inside: bool) -> Graph:
    """Return which modules each module of a package imports, of the same package."""
    known = modules(package)
    edges: Graph = {name: set() for name in known}
    for name, file in known.items():
        for node in imports(ast.parse(file.read_text(encoding="utf-8")), inside):
            assert not (isinstance(node, ast.ImportFrom) and node.level), f"{name}: relative import"
            if isinstance(node, ast.Import):
                targets = [alias.name for alias in node.names]
            else:
                own = [f"{node.module}.{alias.name}" for alias in node.names]
                targets = [path if path in known else str(node.module) for path in own]
            edges[name] |= {target for target in targets if target in known} - {name}
    return edges


def circle(edges: Graph) -> list[str]:
    """Return the modules of a circle in order, or nothing."""
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return []
        for target in sorted(edges[name]):
            found = visit(target, [*path, name])
            if found:
                return found
        done.add(name)
        return []

    return next((found for name in sorted(edges) if (found := visit(name, []))), [])


@pytest.mark.parametrize("inside", [False, True], ids=["on import", "inside functions too"])
@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_there_is_no_circle(package: Path, inside: bool) -> None:
    found = circle(graph(package, inside))
    assert not found, " imports ".join(found)


def test_a_circle_is_found(tmp_path: Path) -> None:
    package = tmp_path / "audiomatch_round"
    package.mkdir()
    (package / "__init__.py").write_text("from audiomatch_round.a import x\n")
    (package / "a.py").write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import audiomatch_round.b\n"
        "def x():\n    from audiomatch_round import b\n"
    )
    (package / "b.py").write_text("import audiomatch_round.a\n")
    assert circle(graph(package, inside=False)) == []
    a, b = "audiomatch_round.a", "audiomatch_round.b"
    assert circle(graph(package, inside=True)) == [a, b, a]
    assert len(PACKAGES) >= 7
