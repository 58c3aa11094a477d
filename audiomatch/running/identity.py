"""What a result depends on: the code that computes it, told apart by its digest."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import importlib.util
import json
import re
from pathlib import Path
from typing import Any

from audiomatch.hookspecs import DISTRIBUTION, PROJECT
from audiomatch.plugins import Plugin


def digest_of(content: Any) -> str:
    """Return the SHA-256 of JSON-able content, independent of the order of keys."""
    return hashlib.sha256(
        json.dumps(content, sort_keys=True, ensure_ascii=False).encode()
    ).hexdigest()


@functools.cache
def code_digest(distribution: str, module: str) -> str:
    """Return the SHA-256 over the Python files of a plugin, of the core and of our kits it needs.

    `module` is what the plugin's entry point names. A version alone does not tell an edited
    checkout from the release it came from.
    """
    packages = {name.replace("-", "_") for name in _family(distribution, set()) - {DISTRIBUTION}}
    digest = hashlib.sha256()
    for package in sorted(packages | {module.partition(".")[0].partition(":")[0]}):
        spec = importlib.util.find_spec(package)
        for place in (spec.submodule_search_locations or []) if spec else []:
            for file in sorted(Path(place).rglob("*.py")):
                digest.update(str(file.relative_to(place)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def plugin_identity(plugin: Plugin) -> list[str]:
    """Return what tells one state of a plugin from another: name, version, digest of its code."""
    code = code_digest(plugin.distribution, plugin.module)
    return [plugin.distribution, plugin.version, code]


def _family(distribution: str, seen: set[str]) -> set[str]:
    seen.add(distribution)
    try:
        needs = importlib.metadata.requires(distribution) or []
    except importlib.metadata.PackageNotFoundError:
        return seen
    for need in needs:
        found = re.match(r"audiomatch[a-z0-9-]*", need)
        if found and found[0] not in seen:
            _family(found[0], seen)
    return seen | {PROJECT}
