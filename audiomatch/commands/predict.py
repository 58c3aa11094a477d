"""`audiomatch predict`: P(match) of each clip by a fitted model."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from audiomatch.commands.options import data_options, make_run, run_options, take_in
from audiomatch.commands.output import print_json
from audiomatch.commands.paths import OutputFile, UserPath


@click.command()
@click.argument("model", type=UserPath())
@data_options
@click.option(
    "--out",
    type=OutputFile(),
    required=True,
    help="File for the predictions, .csv or .parquet.",
)
@run_options
def predict(
    model: Path,
    data: str | None,
    dataset: str | None,
    limit: int | None,
    skip_bad: bool,
    out: Path,
    as_json: bool,
    **how: Any,
) -> None:
    """Predict with MODEL, a folder that `fit` saved, on DATA (else mini-screener).

    Writes a row a clip in the order of DATA: id and p_match (filename and score for the drivendata
    layout).
    """
    import pandas as pd

    from audiomatch.errors import UserError
    from audiomatch.files import atomic_file
    from audiomatch.model import load_model
    from audiomatch.plugins import registry
    from audiomatch.running.jobs import checked_predictions

    if out.suffix.lower() not in (".csv", ".parquet"):
        raise UserError(f"--out {out}: must end in .csv or .parquet")
    matcher, card = load_model(model, registry())
    run = make_run(**how)
    intake, info = take_in(data, dataset, run, False, skip_bad, limit)
    clips = intake.clips.unlabelled()
    started = time.perf_counter()
    p_match = checked_predictions(matcher.predict(clips, run), clips)
    seconds = time.perf_counter() - started
    name, score = info.prediction_columns
    table = pd.DataFrame({name: clips.ids, score: p_match})
    with atomic_file(out) as temporary:
        if out.suffix.lower() == ".csv":
            table.to_csv(temporary, index=False)
        else:
            table.to_parquet(temporary, index=False)
    if as_json:
        facts = {"out": str(out), "matcher": card["matcher"], "clips": len(clips)}
        print_json({**facts, "skipped": intake.skipped, "seconds": seconds})
    else:
        click.echo(
            f"{card['matcher']}: {len(clips)} clips in {seconds:.1f} s "
            f"({len(clips) / max(seconds, 1e-9):.1f} clips/s), written to {out}"
        )
