"""What the metadata of installed distributions tells."""

from __future__ import annotations

import importlib.metadata
import re
from collections import defaultdict
from collections.abc import Mapping

from audiomatch.hookspecs import DISTRIBUTION, PROJECT

# A requirement and, after its marker, the extra that it belongs to.
REQUIREMENT = re.compile(r"""([\w.-]+)(?:.*;.*\bextra\s*==\s*["']([\w.-]+)["'])?""")


def extras() -> Mapping[str, frozenset[str]]:
    """Return the plugin distributions that each extra of the core brings, by the extra.

    An extra bears the name of a matcher that it brings, or of the plugin.
    """
    found: dict[str, set[str]] = defaultdict(set)
    try:
        requirements = importlib.metadata.requires(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        return {}
    for requirement in requirements:
        parts = REQUIREMENT.match(requirement)
        if parts and parts[2] and parts[1] != DISTRIBUTION and parts[1].startswith(f"{PROJECT}-"):
            found[parts[2]].add(parts[1])
    return {extra: frozenset(names) for extra, names in found.items()}


def stranger() -> str | None:
    """Return the version of PyPI's `audiomatch`, another program, where it is installed too.

    It has the same import name and command as this one, so that each overwrites the other's files.
    """
    try:
        return importlib.metadata.version(PROJECT)
    except importlib.metadata.PackageNotFoundError:
        return None
