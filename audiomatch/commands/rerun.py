"""`audiomatch rerun`: repeat a run, and say what differs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from audiomatch.commands.options import executor_option
from audiomatch.commands.output import print_json, show_rows
from audiomatch.commands.paths import OutputFolder, UserPath
from audiomatch.commands.stopping import check_started_once, if_stopped
from audiomatch.decimals import decimal

if TYPE_CHECKING:
    from audiomatch.running.repetition import Repeated

_SHOWN = 12  # changes shown; the JSON has all
_DIGEST = 64
_VERDICT = {
    "equal": "equal",
    "within": "within {:g}",
    "differs": "differs",
    "missing": "not all clips",
}


@click.command()
@click.argument("run", type=UserPath())
@click.option("--data", metavar="DATA", help="Where the data are now, else where they were.")
@click.option("--test", metavar="DATA", help="Where the data are that were predicted, likewise.")
@click.option("--out", type=OutputFolder(), help="Run folder to write [RUN-rerun].")
@click.option("--device", help="Where to compute, else where the run was.")
@click.option(
    "--cache",
    type=UserPath(),
    help="Folder for features kept between runs; a new one has all computed anew.",
)
@executor_option
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    default=1e-6,
    show_default=True,
    metavar="P",
    help="Largest difference of P(match) to let pass.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def rerun(run: Path, tolerance: float, *, as_json: bool, **how: Any) -> int:
    """Compute RUN, a folder that `bench` wrote, again, and say what differs.

    Data, matchers, folds, seeds and device are those of its run.json. Exit code 1 when a prediction
    differs by more than --tolerance, or is missing.
    """
    from audiomatch.running.repetition import repeat_run

    check_started_once()
    with if_stopped("what is finished is kept"):
        found = repeat_run(run, tolerance=tolerance, progress=True, **how)
    if as_json:
        print_json({"same": found.same, **found.model_dump(mode="json")})
        return 0 if found.same else 1
    rows = [_row(row, tolerance) for row in found.rows]
    show_rows(f"{found.run}, repeated", list(rows[0]), rows, as_json=False)
    for change in found.changes[:_SHOWN]:
        click.echo(f"{change.what}: {_short(change.before)} before, {_short(change.now)} now")
    if len(found.changes) > _SHOWN:
        click.echo(f"and {len(found.changes) - _SHOWN} more; --json has all")
    if not found.changes:
        click.echo("data, folds, code, packages and machine are the same")
    click.echo(f"Run folder: {found.out}")
    return 0 if found.same else 1


def _row(row: Repeated, tolerance: float) -> dict[str, Any]:
    return {
        "matcher": row.matcher,
        "predictions": _VERDICT[row.verdict].format(tolerance),
        "largest difference": "-" if row.largest is None else f"{row.largest:.2g}",
        "log loss before": decimal(row.log_loss_before, 4),
        "now": decimal(row.log_loss, 4),
        "clips": row.clips,
    }


def _short(value: str) -> str:
    """Return a digest as people compare it, anything else as it is."""
    return (value[:12] if len(value) == _DIGEST else value) or "none"
