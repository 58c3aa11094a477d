"""`audiomatch check`: does a matcher keep to the contract?"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from audiomatch.commands.options import run_options
from audiomatch.commands.output import print_json, print_table
from audiomatch.errors import printable

if TYPE_CHECKING:
    from rich.table import Table

    from audiomatch.testing import Report


@click.command()
@click.argument("matcher")
@click.option(
    "--only", multiple=True, metavar="NAME", help="Run this check alone; may be given repeatedly."
)
@click.option(
    "--skip", multiple=True, metavar="NAME", help="Leave this check out; may be given repeatedly."
)
@run_options
def check(
    matcher: str,
    only: tuple[str, ...],
    skip: tuple[str, ...],
    as_json: bool,
    cache: Path | None,
    **how: Any,
) -> int:
    """Check that MATCHER keeps to the contract, on a tiny corpus made on the fly.

    Each check is passed, failed or skipped, with the reason. Exit code 1 when one failed. The cache
    is a fresh one unless --cache names another.
    """
    from audiomatch.machine import make_run
    from audiomatch.testing import run_checks

    with tempfile.TemporaryDirectory(prefix="audiomatch-cache-") as fresh:
        run = make_run(cache=cache or Path(fresh), progress=True, **how)
        report = run_checks(matcher, only=only, skip=skip, run=run)
    if as_json:
        print_json(report.to_json())
    else:
        print_table(_table(report))
        click.echo(f"{report.matcher} on {report.device}: {report.summary}")
    return 1 if report.results_of("failed") else 0


def _table(report: Report) -> Table:
    from rich.table import Table
    from rich.text import Text

    styles = {"passed": "green", "failed": "bold red", "skipped": "yellow", "xfailed": "yellow"}
    table = Table(box=None, pad_edge=False)
    for column in ("status", "check", "what it proves", "reason"):
        table.add_column(column, overflow="fold")
    for result in report.results:
        status = Text(result.status, styles[result.status])
        told = (result.check, result.proves, result.reason)
        table.add_row(status, *(Text(printable(one)) for one in told))
    return table
