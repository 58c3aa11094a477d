"""`audiomatch bench`: compare matchers on the same folds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from audiomatch.commands.options import (
    MatcherCommand,
    data_options,
    data_path,
    group_option,
    run_options,
    with_flags,
)
from audiomatch.commands.output import print_json, print_table
from audiomatch.commands.paths import OutputFolder


@click.command(cls=MatcherCommand)
@data_options
@click.option(
    "--matchers",
    "named",
    required=True,
    metavar="A,B",
    help="Matchers to compare (NAME[:PRESET][@key=value]…), with commas between.",
)
@click.option("--folds", type=click.IntRange(min=2), default=5, show_default=True, help="Folds.")
@group_option("Clips alike in it share a fold; 'none' for plain folds.")
@click.option(
    "--out",
    type=OutputFolder(),
    help="Run folder [runs/NAME-OF-DATA]; a second run goes on with it.",
)
@click.option(
    "--executor",
    default="inline",
    show_default=True,
    metavar="NAME",
    help="What computes the folds (NAME[@key=value]…).",
)
@run_options
def bench(data: str | None, named: str, out: Path | None, as_json: bool, **how: Any) -> int:
    """Compare matchers on DATA (a manifest or folder; else mini-screener) by cross-validation.

    The floors run beside them. Exit code 1 when a fold of a matcher failed.
    """
    import audiomatch
    from audiomatch.scoring import leaderboard_table
    from audiomatch.spec import parse_matchers

    specs = with_flags(parse_matchers(named))
    found = audiomatch.compare(data_path(data), specs, out=out, progress=True, **how)
    if as_json:
        print_json({**found.record.model_dump(mode="json"), "run": str(found.folder)})
    else:
        print_table(leaderboard_table(found.record))
        click.echo(f"Run folder: {found.folder}   report: {found.folder / 'report.html'}")
    return 1 if found.problems else 0
