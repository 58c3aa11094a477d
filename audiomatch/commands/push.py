"""`audiomatch push`: publish a model on the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path

import click

from audiomatch.commands.output import print_json
from audiomatch.commands.paths import UserPath


@click.command()
@click.argument("model", type=UserPath())
@click.argument("name", metavar="OWNER/NAME")
@click.option("--private", is_flag=True, help="Show it to its members alone.")
@click.option("--revision", metavar="BRANCH", help="A branch, made if need be; else the main one.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def push(model: Path, name: str, *, private: bool, revision: str | None, as_json: bool) -> None:
    """Publish MODEL, a folder that `fit` saved, on the Hugging Face hub as OWNER/NAME.

    The repository, made if need be, then holds the files of the folder alone, its README.md as
    card. Log in first (`hf auth login`). Every command that takes a MODEL then takes
    hf:OWNER/NAME, or hf:OWNER/NAME@REVISION.
    """
    from audiomatch.hub import push_model

    pushed = push_model(model, name, private=private, revision=revision)
    if as_json:
        print_json({"model": str(pushed), "repository": pushed.id, "commit": pushed.revision})
    else:
        click.echo(f"{model}: published as {pushed}")
