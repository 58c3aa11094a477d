"""`audiomatch fit`: refit on all the data what `bench` compared."""

from __future__ import annotations

import time
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
from audiomatch.commands.output import print_json
from audiomatch.commands.paths import OutputFolder


@click.command(cls=MatcherCommand)
@click.argument("matcher")
@data_options
@click.option(
    "--out",
    type=OutputFolder(replaced=True),
    required=True,
    help="Folder for the model.",
)
@run_options
def fit(
    matcher: str,
    data: str | None,
    dataset: str | None,
    limit: int | None,
    skip_bad: bool,
    out: Path,
    as_json: bool,
    **how: Any,
) -> None:
    """Fit MATCHER on all of DATA (else mini-screener) and save the model."""
    import numpy as np

    from audiomatch.errors import UserError
    from audiomatch.intake import data_digest
    from audiomatch.model import check_target, save_model
    from audiomatch.plugins import registry
    from audiomatch.spec import parse_matcher

    (spec,) = with_flags([parse_matcher(matcher)])
    made = registry().create(spec)
    check_target(out)
    run = make_run(**how)
    intake, _ = take_in(data, dataset, run, True, skip_bad, limit)
    classes = np.unique(intake.clips.labels)
    if classes.size < 2:
        raise UserError(
            f"{intake.clips.source}: every clip has match {classes[0]}; fitting needs both 0 and 1"
        )
    started = time.perf_counter()
    made.fit(intake.clips, run)
    facts = {
        "clips": len(intake.clips),
        "skipped": intake.skipped,
        "data_digest": data_digest(intake.clips),
        "seed": run.seed,
        "device": run.device,
        "precision": run.precision,
        "seconds": time.perf_counter() - started,
        "notes": run.notes,
    }
    save_model(out, spec, registry().offer(spec), made, facts)
    if as_json:
        print_json({"model": str(out), "matcher": str(spec), **facts})
    else:
        click.echo(
            f"{spec}: fitted on {len(intake.clips)} clips in {facts['seconds']:.1f} s, "
            f"saved in {out}"
        )
