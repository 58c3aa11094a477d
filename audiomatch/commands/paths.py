"""Paths on the command line: `~` is the home folder, and what will be written is tried at once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from audiomatch.errors import UserError
from audiomatch.files import check_not_input, check_output_file, check_output_folder, user_path

TABLES = (".csv", ".jsonl", ".parquet")  # what a table of predictions may be written as


class UserPath(click.Path):
    """A path, of which no more is asked than of `click.Path`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: Any) -> Path:
        """Return the path with `~` expanded."""
        path = user_path(value)
        super().convert(path, param, ctx)
        return path


class OutputFile(UserPath):
    """A file to write. Raises `UserError` that names the option where it cannot be written."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: Any) -> Path:
        """Return the path, once it is known that the file can be written."""
        path = super().convert(value, param, ctx)
        check_output_file(path, _option(param))
        return path


class OutputData(OutputFile):
    """A file, or a folder that is new or empty; see `OutputFile`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: Any) -> Path:
        """Return the path, once it is known that it can be written."""
        path = user_path(value)
        if not path.is_dir():
            return super().convert(value, param, ctx)
        check_output_folder(path, _option(param), replaced=True)
        if any(path.iterdir()):
            raise UserError(f"{_option(param)} {path}: is not empty; name a new folder")
        return path


class OutputFolder(UserPath):
    """A folder to write, or with `replaced` to put in the place of another; see `OutputFile`."""

    def __init__(self, *, replaced: bool = False) -> None:
        super().__init__()
        self.replaced = replaced

    def convert(self, value: Any, param: click.Parameter | None, ctx: Any) -> Path:
        """Return the path, once it is known that the folder can be written."""
        path = super().convert(value, param, ctx)
        check_output_folder(path, _option(param), replaced=self.replaced)
        return path


def check_outputs(context: click.Context) -> None:
    """Raise `UserError` where what the command will write is DATA or MODEL, or holds it."""
    from audiomatch.datasets import input_paths
    from audiomatch.model import check_target
    from audiomatch.plugins import registry

    given = context.params
    outputs = {
        param: given[str(param.name)]
        for param in context.command.params
        if isinstance(param.type, OutputFile | OutputFolder) and given.get(str(param.name))
    }
    if any(os.path.exists(output) for output in outputs.values()):  # noqa: PTH110 (may be too long)
        inputs = input_paths(registry().datasets(), given.get("data"), given.get("dataset"))
        if isinstance(given.get("test"), str | Path):
            inputs += input_paths(registry().datasets(), str(given["test"]), None)
        model = given.get("model")
        if isinstance(model, Path) and model.is_dir():
            inputs += [model, *model.rglob("*")]
        for param, output in outputs.items():
            if isinstance(param.type, OutputFolder) and param.type.replaced:
                check_target(output)
            check_not_input(output, inputs, _option(param))


def check_suffix(out: Path, suffixes: Sequence[str], also: str = "") -> None:
    """Raise `UserError` unless what --out names ends in one of `suffixes`; `also` ends the line."""
    if out.suffix.lower() not in suffixes:
        *most, last = suffixes
        raise UserError(f"--out {out}: must end in {', '.join(most)} or {last}{also}")


def check_not_clip(data: str | None) -> None:
    """Raise `UserError` where DATA is an audio file, whose text is missing."""
    from audiomatch.audio import EXTENSIONS

    if data is not None and data.lower().endswith(EXTENSIONS):
        raise UserError(f"{data} is one clip: say after it, in quotes, what it should say")


def _option(param: click.Parameter | None) -> str:
    return param.opts[-1] if param is not None else "output"
