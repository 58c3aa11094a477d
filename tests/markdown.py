"""What the pages of the repository hold: links, anchors, commands and Python."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    page
    for pattern in (
        "*.md",
        "docs/**/*.md",
        "plugins/*/*.md",
        "examples/*/*.md",
        "benchmarks/**/*.md",
        "corpus/*.md",
        "audiomatch/datasets/*/*.md",
    )
    for page in ROOT.glob(pattern)
)
# What was run once, as it was named then.
RECORDS = [ROOT / "CHANGELOG.md", *(ROOT / "benchmarks" / "results").glob("*.md")]
SHELL = ("", "sh", "bash", "console")

_BLOCK = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```", re.DOTALL | re.MULTILINE)
_SPAN = re.compile(r"`([^`\n]+)`")


def blocks(page: Path, *languages: str) -> list[str]:
    """Return the code blocks of a page in one of `languages`."""
    found = _BLOCK.findall(page.read_text(encoding="utf-8"))
    return [code for _, language, code in found if language in languages]


def prose(page: Path) -> str:
    """Return a page without its code blocks."""
    return _BLOCK.sub("", page.read_text(encoding="utf-8"))


def spans(page: Path) -> list[str]:
    """Return the inline code of a page."""
    return [span.replace("\\|", "|") for span in _SPAN.findall(prose(page))]


def links(page: Path) -> list[str]:
    """Return the targets of the links and pictures of a page that stay in the repository."""
    text = _SPAN.sub("", prose(page))
    found = re.findall(r"\]\(([^)\s]+)", text) + re.findall(r'(?:href|src)="([^"]+)"', text)
    return [target for target in found if not re.match(r"[a-z]+:", target)]


def anchors(page: Path) -> set[str]:
    """Return what a link to a page may have after `#`, as GitHub makes it of the headings."""
    text = prose(page)
    made = set(re.findall(r'<a (?:id|name)="([^"]+)"', text))
    times: dict[str, int] = {}
    for heading in re.findall(r"^#+ +(.+?) *#*$", text, re.MULTILINE):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        name = re.sub(r"[^\w\- ]", "", shown).replace(" ", "-")
        times[name] = times.get(name, -1) + 1
        made.add(f"{name}-{times[name]}" if times[name] else name)
    return made


def commands(code: str) -> Iterator[list[str]]:
    """Give the arguments of each `audiomatch …` of shell code, or of inline code."""
    for line in code.replace("\\\n", " ").splitlines():
        for part in re.split(r"&&|;|\|(?!\|)", line.strip().removeprefix("$ ")):
            if not re.match(r"\s*(?:\S+=\S+ +)*audiomatch\b(?![-./=:#@\[])", part):
                continue
            words = shlex.split(part, comments=True)
            yield words[words.index("audiomatch") + 1 :]
