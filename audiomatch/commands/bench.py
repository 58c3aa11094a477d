"""`audiomatch bench`: compare matchers on the same folds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from audiomatch.commands.options import (
    MatcherCommand,
    data_options,
    make_run,
    run_options,
    take_in,
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
@click.option(
    "--folds", "k", type=click.IntRange(min=2), default=5, show_default=True, help="Folds."
)
@click.option(
    "--group",
    default="expected_text",
    show_default=True,
    metavar="COLUMN",
    help="Clips alike in it share a fold; 'none' for plain folds.",
)
@click.option(
    "--out",
    type=OutputFolder(),
    help="Run folder [runs/NAME-OF-DATA]; a second run goes on with it.",
)
@run_options
def bench(
    data: str | None,
    dataset: str | None,
    limit: int | None,
    skip_bad: bool,
    named: str,
    k: int,
    group: str,
    out: Path | None,
    as_json: bool,
    **how: Any,
) -> int:
    """Compare matchers on DATA (a manifest or folder; else mini-screener) by cross-validation.

    The floors run beside them. Exit code 1 when a fold of a matcher failed.
    """
    from audiomatch.files import check_output_folder, user_path
    from audiomatch.folds import make_folds
    from audiomatch.further import keep_apart
    from audiomatch.plugins import registry
    from audiomatch.running.comparison import describe_data, run_comparison
    from audiomatch.running.crossval import enter
    from audiomatch.running.executors import InlineExecutor
    from audiomatch.scoring import leaderboard_table
    from audiomatch.spec import parse_matchers

    specs = with_flags(parse_matchers(named))
    out = out or _default_folder(data, dataset)
    check_output_folder(out, "--out")
    entrants = enter(registry(), specs)
    run = make_run(**how)
    intake, info = take_in(data, dataset, run, True, skip_bad, limit)
    folds = make_folds(intake.clips, k, group, run.seed)
    keep_apart([d for entrant in entrants for d in entrant.further_data], intake.clips, run)
    source = str(user_path(data).resolve()) if data else info.name
    outcome = run_comparison(
        registry(),
        entrants,
        folds,
        describe_data(intake, info.name, source, limit),
        run,
        out,
        InlineExecutor(),
    )
    if as_json:
        print_json({**outcome.leaderboard.model_dump(mode="json"), "run": str(outcome.folder)})
    else:
        print_table(leaderboard_table(outcome.leaderboard))
        report = outcome.folder / "report.html"
        click.echo(f"Run folder: {outcome.folder}   report: {report}")
    return 0 if outcome.flawless else 1


def _default_folder(data: str | None, dataset: str | None) -> Path:
    """Return `runs/NAME`, with the name of the file or folder that `data` stands for."""
    from audiomatch.datasets import DEFAULT
    from audiomatch.files import user_path

    if data is None:
        return Path("runs") / (dataset or DEFAULT)
    place = user_path(data).resolve()
    return Path("runs") / ((place.name if place.is_dir() else place.stem) or "data")
