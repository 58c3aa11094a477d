"""`audiomatch compare`: the paired difference of two rows of a run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from audiomatch.commands.options import cluster_option, matters_option
from audiomatch.commands.output import print_json, show_rows
from audiomatch.commands.paths import UserPath


@click.command()
@click.argument("run", type=UserPath())
@click.argument("a")
@click.argument("b")
@click.option("--by", metavar="COLUMN", help="Also for each value of this column of the data.")
@cluster_option
@matters_option
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def compare(
    run: Path, a: str, b: str, by: str | None, cluster: str, matters: float, *, as_json: bool
) -> None:
    """Tell whether A is better than B, two rows of RUN, a folder that `bench` wrote.

    The difference is the log loss of A minus that of B over the clips that both predicted. The
    interval over all clips is of this pair by itself; those by COLUMN hold together.
    """
    from audiomatch.scoring.leaderboard import question
    from audiomatch.scoring.runs import compare_rows, open_run
    from audiomatch.spec import parse_matcher

    one, other = (str(parse_matcher(name)) for name in (a, b))
    found = compare_rows(open_run(run), one, other, by, cluster, matters)
    if as_json:
        whole, *parts = ({"value": key, **pair.model_dump()} for key, pair in found.items())
        whole.pop("value")
        print_json({**whole, "question": question(cluster), "by": by, "values": parts})
        return
    rows: list[dict[str, Any]] = [
        {
            by or "of": value or "all",
            "difference": _number(pair.difference),
            "95 % interval": f"{_number(pair.low)} to {_number(pair.high)}",
            f"{one} is": pair.verdict or "-",
            "clips": pair.n,
            "groups": pair.groups,
        }
        for value, pair in found.items()
    ]
    show_rows(f"log loss of {one} minus {other}", list(rows[0]), rows, as_json=False)
    click.echo(f"of {question(cluster)}")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:+.3f}"
