"""`audiomatch probe`: what a model does with answers planted in matches."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from audiomatch.commands.options import data_options, data_path, group_option, run_options
from audiomatch.commands.output import print_json, print_table
from audiomatch.commands.paths import OutputData, UserPath
from audiomatch.errors import printable

if TYPE_CHECKING:
    from audiomatch.probing.prober import Probed

SHARE = click.FloatRange(0, 1)


@click.command()
@click.argument("model", type=UserPath())
@data_options
@click.option(
    "--expect",
    type=click.Choice(["exact", "contains"]),
    default="exact",
    show_default=True,
    help="Whether the text alone is to be said, or more may be.",
)
@click.option("--only", multiple=True, metavar="NAME", help="Plant this probe; may be repeated.")
@click.option(
    "--most",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    metavar="N",
    help="Plant each probe in at most N matches, drawn by the seed.",
)
@click.option(
    "--threshold", type=SHARE, default=0.5, show_default=True, help="P(match) that confirms."
)
@click.option("--stay", type=SHARE, help="Exit code 1 where less is confirmed that must stay.")
@click.option("--fall", type=SHARE, help="Exit code 1 where more is confirmed that must fall.")
@click.option(
    "--keep", type=OutputData(), metavar="FOLDER", help="Write the planted clips, to listen to."
)
@group_option("Clips alike in it are resampled together for the intervals; 'none' for each alone.")
@run_options
def probe(
    model: Path,
    data: str | None,
    stay: float | None,
    fall: float | None,
    keep: Path | None,
    device: str,
    precision: Any,
    seed: int,
    workers: int | None,
    cache: Path | None,
    as_json: bool,
    **how: Any,
) -> int:
    """Plant answers in matches of DATA (else mini-screener): what does MODEL confirm?

    MODEL is a folder that `fit` saved, NAME:ready or hf:OWNER/NAME. The text cut short, words
    swapped, more or fewer, noise, another sentence: a table says what must stay confirmed and what
    must fall. For an honest answer DATA holds no clip that the model was fitted on.

    Exit code 1 where --stay or --fall is broken, or a probe failed.
    """
    import audiomatch

    run = {"device": device, "precision": precision, "seed": seed, "workers": workers}
    loaded = audiomatch.load(model, progress=True, cache=cache, **run)
    found = audiomatch.probe(loaded, data_path(data), **how)
    if keep is not None:
        found.keep(keep)
    broken = found.record.broken(stay, fall)
    if as_json:
        limits = {"stay": stay, "fall": fall, "broken": [one.probe for one in broken]}
        kept = None if keep is None else str(keep)
        print_json({**found.record.model_dump(mode="json"), **limits, "kept": kept})
    else:
        _show(found, stay, fall, len(broken))
        if keep is not None:
            click.echo(f"Planted clips: {keep / 'manifest.csv'}")
    return 1 if broken or found.record.problems else 0


def _show(found: Probed, stay: float | None, fall: float | None, broken: int) -> None:
    from audiomatch.probing.table import behaviours_table

    record = found.record
    print_table(behaviours_table(record.behaviours, found.summaries, stay, fall))
    said = "the text and nothing else" if record.expect == "exact" else "the text, and more"
    lines = [
        f"{record.model}: {len(found.planted.rows)} clips planted in matches of {record.source}, "
        f"{record.groups} groups; confirmed from P(match) {record.threshold:g} on; "
        f"a match says {said} (--expect {record.expect})",
        *record.warnings,
        *(f"left out: {line}" for line in record.missing),
        *(f"failed: {line}" for line in record.problems),
    ]
    if stay is not None or fall is not None:
        lines.append(f"{broken} of {len(record.behaviours)} behaviours break the limits")
    for line in lines:
        click.echo(printable(line))
