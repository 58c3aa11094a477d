"""What the pages promise: links lead somewhere, commands parse, Python imports what exists."""

from __future__ import annotations

import ast
import importlib
import re
import textwrap
from pathlib import Path

import click
import pytest

from audiomatch.cli import cli
from audiomatch.plugins import registry
from audiomatch.spec import NAME, READY, MatcherSpec, parse_matcher, parse_matchers
from tests.markdown import (
    PAGES,
    RECORDS,
    ROOT,
    SHELL,
    anchors,
    blocks,
    commands,
    links,
    spans,
)

pytestmark = pytest.mark.plugins
DOCS = ROOT / "docs"
EXAMPLES = sorted((ROOT / "examples").iterdir())
# The reference is made from the code, and writes usage and signatures.
WRITTEN = [page for page in PAGES if page.parent != DOCS / "reference"]
LIVING = [page for page in WRITTEN if page not in RECORDS]
# Matchers that pages tell the reader to write.
TO_WRITE = {"my-matcher", "small-cnn", "speaking-rate"}


def _name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in links(page):
        path, _, anchor = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        assert place.exists(), target
        if anchor and place.suffix == ".md":
            assert anchor in anchors(place), target


def test_every_page_of_the_documentation_is_in_an_index() -> None:
    for page in DOCS.rglob("*.md"):
        if page.name == "README.md":
            continue
        indexes = [page.parent / "README.md", DOCS / "README.md"]
        listed = {
            (index.parent / target.partition("#")[0]).resolve()
            for index in indexes
            for target in links(index)
        }
        assert page in listed, _name(page)


@pytest.mark.filterwarnings("error::audiomatch.errors.RenamedWarning")
@pytest.mark.parametrize("page", LIVING, ids=_name)
def test_commands_parse(page: Path) -> None:
    for code in blocks(page, *SHELL):
        for arguments in commands(code):
            _parse(arguments)
    for code in spans(page):
        for arguments in commands(code):
            try:
                _parse(arguments)
            except click.MissingParameter:  # names a command, without all that it needs
                continue


@pytest.mark.filterwarnings("error::audiomatch.errors.RenamedWarning")
@pytest.mark.parametrize("page", LIVING, ids=_name)
def test_matchers_named_in_the_text_have_the_presets_and_options(page: Path) -> None:
    known = registry().matchers()
    for code in spans(page):
        name = re.match(r"([a-z][a-z0-9-]*)[:@]\S+$", code)
        if name and code.endswith(READY):
            assert registry().offer(MatcherSpec(name[1])).info.ready is not None
        elif name and name[1] in known and "…" not in code and not re.search(r"=[A-Z]", code):
            registry().create(parse_matcher(code))


def test_options_named_in_the_text_exist() -> None:
    known = {
        spelled
        for command in _every_command()
        for parameter in command.get_params(click.Context(command))
        for spelled in parameter.opts
    }
    for page in (ROOT / "README.md", *(page for page in WRITTEN if DOCS in page.parents)):
        for code in spans(page):
            option = re.match(r"--[a-z][a-z-]*", code)
            assert option is None or option[0] in known, f"{_name(page)}: {code}"


@pytest.mark.parametrize("page", WRITTEN, ids=_name)
def test_python_compiles_and_imports_what_exists(
    page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for example in EXAMPLES:
        monkeypatch.syspath_prepend(str(example))
    for code in blocks(page, "python", "py"):
        tree = ast.parse(textwrap.dedent(code))
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for module in node.names:
                    importlib.import_module(module.name)
            elif isinstance(node, ast.ImportFrom) and node.module not in (None, "__future__"):
                _imports(str(node.module), [name.name for name in node.names])
            elif (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == "audiomatch"
            ):
                _imports("audiomatch", [node.attr])


def _every_command() -> list[click.Command]:
    """Return the core's commands and those that plugins offer."""
    context = click.Context(cli)
    found = [cli.get_command(context, name) for name in cli.list_commands(context)]
    return [command for command in found if command is not None]


def _parse(arguments: list[str]) -> None:
    """Parse a command line as `audiomatch` would, and check each matcher that it names."""
    if arguments[:1] == ["…"]:
        return
    if not arguments or arguments[0].startswith("-"):
        cli.make_context("audiomatch", list(arguments) or ["--version"], resilient_parsing=True)
        return
    group = click.Context(cli, info_name="audiomatch")
    name, command, rest = cli.resolve_command(group, list(arguments))
    assert command is not None, arguments
    if not {"-h", "--help"} & set(rest):
        given = command.make_context(name, rest, parent=group).params
        for argument in ("named", "matcher"):
            _check_matchers(given.get(argument))


def _check_matchers(text: str | None) -> None:
    if text is None or not re.match(NAME, text):
        return  # a placeholder, as in `audiomatch fit MATCHER`
    for spec in parse_matchers(text):
        if spec.name not in TO_WRITE:
            registry().create(spec)


def _imports(module: str, names: list[str]) -> None:
    found = importlib.import_module(module)
    for name in names:
        if not hasattr(found, name):
            importlib.import_module(f"{module}.{name}")
