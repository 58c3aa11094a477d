"""Where a run comes from: how it was asked for, and the code and machine that computed it."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from audiomatch.files import user_path
from audiomatch.hookspecs import PROJECT
from audiomatch.machine import machine_record, versions
from audiomatch.running.identity import code_digests, every_version

# Arguments of `compare` that other fields of the record hold, and those that move no figure.
_ASIDE = {"data", "dataset", "test", "matchers", "device"} | {
    *("fold", "out", "cache", "progress", "strict", "executor")
}


def provenance(asked: Mapping[str, Any], modules: Iterable[str]) -> dict[str, Any]:
    """Return what a `RunRecord` says of it.

    Args:
        asked: the arguments of `audiomatch.compare`.
        modules: of the plugins that take part.
    """
    return {
        "versions": versions(),
        "packages": every_version(),
        "code": code_digests([PROJECT, *modules]),
        "machine": machine_record(),
        "command": typed_command(),
        "arguments": {name: _plain(asked[name]) for name in asked if name not in _ASIDE},
    }


def seen_from(folder: Path, place: str) -> str:
    """Return a path as seen from a run folder; empty where it is none, or on another drive."""
    if not Path(place).is_absolute():
        return ""
    with contextlib.suppress(ValueError):
        return Path(os.path.relpath(place, folder.resolve())).as_posix()
    return ""


def typed_command() -> tuple[str, ...]:
    """Return the command line that this is part of; empty where there is none, as in a notebook."""
    typed = click.get_current_context(silent=True) is not None
    return (PROJECT, *sys.argv[1:]) if typed else ()


def _plain(value: Any) -> Any:
    """Return an argument as JSON holds it."""
    return json.loads(json.dumps(value, default=_builtin))


def _builtin(value: Any) -> Any:
    if isinstance(value, os.PathLike):
        return str(user_path(value).resolve())
    return dict(value) if isinstance(value, Mapping) else list(value)
