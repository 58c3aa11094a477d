"""Writes what of the documentation is made from the code: `python docs/build.py [--check]`.

The reference pages are whole files, but for that of the files: there the table after a line
`<!-- fields: RECORD -->` is filled from `audiomatch.records`. In the pages that walk through an
example plugin, the code block after a line `<!-- code: FILE -->` or
`<!-- code: FILE#Class.method -->` is filled from that example.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

if not __package__:
    sys.path.insert(0, str(Path(__file__).parents[1]))

from docs.pages import (
    api_page,
    commands_page,
    face_page,
    files_page,
    hooks_page,
    matchers_page,
)

DOCS = Path(__file__).parent
EXAMPLES = DOCS.parent / "examples"
WALKS = {
    DOCS / "tutorial" / "README.md": EXAMPLES / "audiomatch-speaking-rate",
    DOCS / "how-to" / "torch-matcher.md": EXAMPLES / "audiomatch-small-cnn",
}
BLOCK = re.compile(r"(<!-- code: (\S+) -->\n```(\w+)\n).*?(^```$)", re.DOTALL | re.MULTILINE)


def excerpt(file: Path, name: str) -> str:
    """Return the source of a class, method or function of `file`, its own indentation removed."""
    source = file.read_text(encoding="utf-8")
    scope: ast.AST = ast.parse(source)
    for part in name.split("."):
        scope = next(
            node
            for node in ast.iter_child_nodes(scope)
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == part
        )
    assert isinstance(scope, ast.ClassDef | ast.FunctionDef)
    first = min([scope.lineno, *(d.lineno for d in scope.decorator_list)])
    lines = source.splitlines()[first - 1 : scope.end_lineno]
    return "\n".join(line[scope.col_offset :] for line in lines) + "\n"


def walk(text: str, example: Path) -> str:
    """Return a page with each code block filled from the example."""

    def fill(found: re.Match[str]) -> str:
        file, _, name = found[2].partition("#")
        place = example / file
        code = excerpt(place, name) if name else place.read_text(encoding="utf-8")
        return found[1] + code + found[4]

    return BLOCK.sub(fill, text)


def pages() -> dict[Path, str]:
    """Return the content that each page should have."""
    reference = DOCS / "reference"
    matchers, commands = reference / "matchers.md", reference / "commands.md"
    files = reference / "files.md"
    return {
        reference / "hooks.md": hooks_page(),
        commands: commands_page(_known(commands)),
        reference / "api.md": api_page(),
        reference / "python.md": face_page(),
        matchers: matchers_page(_known(matchers)),
        files: files_page(files.read_text(encoding="utf-8")),
        **{page: walk(page.read_text(encoding="utf-8"), own) for page, own in WALKS.items()},
    }


def _known(page: Path) -> str:
    return page.read_text(encoding="utf-8") if page.is_file() else ""


def stale() -> list[Path]:
    """Return the pages that are not what they should be."""
    return [
        page
        for page, text in pages().items()
        if not page.is_file() or page.read_text(encoding="utf-8") != text
    ]


def main() -> int:
    """Write the pages, or with `--check` say which are stale (exit code 1)."""
    if sys.argv[1:] == ["--check"]:
        found = stale()
        for page in found:
            print(f"stale: {page.relative_to(DOCS.parent)}; run python docs/build.py")
        return 1 if found else 0
    for page, text in pages().items():
        page.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
