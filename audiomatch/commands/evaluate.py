"""`audiomatch evaluate`: how good a saved model is on labelled clips."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from audiomatch.commands.options import data_options, data_path, group_option, run_options
from audiomatch.commands.output import print_json, print_table
from audiomatch.commands.paths import UserPath


@click.command()
@click.argument("model", type=UserPath())
@data_options
@group_option("Clips alike in it are resampled together for the intervals; 'none' for each alone.")
@run_options
def evaluate(
    model: Path,
    data: str | None,
    dataset: str | None,
    columns: dict[str, str] | None,
    limit: int | None,
    skip_bad: bool,
    group: str,
    as_json: bool,
    **how: Any,
) -> None:
    """Score MODEL on labelled DATA (else mini-screener).

    MODEL is a folder that `fit` saved, NAME:ready, or hf:OWNER/NAME of the Hugging Face hub. The
    figures are those of a leaderboard. For an honest answer DATA holds no clip that the model
    was fitted on.
    """
    import audiomatch
    from audiomatch.scoring import leaderboard_table

    loaded = audiomatch.load(model, progress=True, **how)
    found = audiomatch.evaluate(
        loaded,
        data_path(data),
        group=group,
        dataset=dataset,
        columns=columns,
        limit=limit,
        skip_bad=skip_bad,
    )
    if as_json:
        lines = {"skipped": found.skipped, "warnings": found.warnings}
        print_json({**found.record.model_dump(mode="json"), **lines})
        return
    print_table(leaderboard_table(found.record))
    for line in found.notes():
        click.echo(line)
