"""`audiomatch leaderboard`: the table of a run folder, or of several merged."""

from __future__ import annotations

from pathlib import Path

import click

from audiomatch.commands.options import cluster_option, matters_option
from audiomatch.commands.output import print_json, print_table
from audiomatch.commands.paths import UserPath

FORMATS = ("table", "md", "csv", "latex", "json")


@click.command()
@click.argument("runs", nargs=-1, required=True, type=UserPath(), metavar="RUN…")
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="table",
    show_default=True,
    help="What to print.",
)
@cluster_option
@matters_option
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def leaderboard(
    runs: tuple[Path, ...], form: str, cluster: str, matters: float, *, as_json: bool
) -> None:
    """Print the table of RUN, a folder that `bench` wrote; of several the rows of all.

    It is made anew of their predictions. Runs of other data or folds are refused by name.
    """
    from audiomatch.scoring import table, tables
    from audiomatch.scoring.runs import leaderboard_of, open_run

    found = leaderboard_of([open_run(run) for run in runs], cluster, matters)
    if as_json or form == "json":
        print_json(found.model_dump(mode="json"))
    elif form == "table":
        print_table(*tables(found))
    else:
        made = {"md": table.markdown_table, "csv": table.csv_table, "latex": table.latex_table}
        click.echo(made[form](found), nl=False)
