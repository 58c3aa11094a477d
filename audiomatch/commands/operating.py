"""`audiomatch operating`: what a row of a run folder does at thresholds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from audiomatch.commands.options import cluster_option
from audiomatch.commands.output import print_json, show_rows
from audiomatch.commands.paths import UserPath
from audiomatch.decimals import decimal, interval

if TYPE_CHECKING:
    from audiomatch.records import OperatingPoint

_SHOWN_BY = (0.95, 0.05)  # targets shown of each part; the JSON has all


@click.command()
@click.argument("run", type=UserPath())
@click.argument("matcher", required=False)
@click.option("--by", metavar="COLUMN", help="Also for each value of this column of the data.")
@cluster_option
@click.option(
    "--calibrated", is_flag=True, help="By the probabilities that `bench --calibrate` calibrated."
)
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def operating(
    run: Path,
    matcher: str | None,
    by: str | None,
    cluster: str,
    *,
    calibrated: bool,
    as_json: bool,
) -> None:
    """Tell what MATCHER, a row of RUN, does where P(match) becomes a verdict; else the first.

    Recall at a wanted precision, false alarms at a wanted share of missed matches, what is left
    undecided where both verdicts have a wanted precision, and the expected cost of a clip. The
    verdicts on a fold are by thresholds that the other folds chose; `threshold` is what all of them
    choose, and `reached` what became of the wanted share.
    """
    from audiomatch.scoring.runs import open_run, operating_of
    from audiomatch.spec import parse_matcher

    asked = str(parse_matcher(matcher)) if matcher else None
    named, points = operating_of(open_run(run), asked, by, cluster, calibrated=calibrated)
    if as_json:
        facts = {"matcher": named, "by": by, "calibrated": calibrated}
        print_json({**facts, "points": [one.model_dump() for one in points]})
        return
    shown = [one for one in points if not by or one.target in _SHOWN_BY]
    rows = [_row(one, by) for one in shown]
    show_rows(named + ", calibrated" * calibrated, list(rows[0]), rows, as_json=False)


def _row(point: OperatingPoint, by: str | None) -> dict[str, Any]:
    """Return the cells of one line of the table."""
    both = (point.mismatch_threshold, point.threshold)
    found = {
        "": _what(point),
        "threshold": " ".join(decimal(one) for one in both if one is not None) or "-",
        "value": decimal(point.value),
        "95 % interval": interval(point.low, point.high),
        "reached": decimal(point.reached),
    }
    if by is None:
        return found | {"clips": point.n}
    part = {by: (point.part or "none") if point.column else "all"}
    gap = {"gap": decimal(point.gap), "of the gap": interval(point.gap_low, point.gap_high)}
    del found["threshold"]  # the same for all
    return {"": found.pop(""), **part, **found, **gap, "clips": point.n}


def _what(point: OperatingPoint) -> str:
    if point.kind == "cost":
        return "wrong at 0.5" if point.target == 0.5 else f"cost, undecided {point.target:g}"
    share = f"{point.target:.0%}".replace("%", " %")
    return {
        "precision": f"recall at {share} precision",
        "misses": f"false alarms at {share} misses",
        "abstain": f"undecided at {share} precision",
    }[point.kind]
