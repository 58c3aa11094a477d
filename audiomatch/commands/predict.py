"""`audiomatch predict`: P(match) of each clip by a fitted model."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from audiomatch.commands.options import data_options, data_path, run_options
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
    columns: dict[str, str] | None,
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

    import audiomatch
    from audiomatch.datasets.tables import write_table
    from audiomatch.errors import UserError
    from audiomatch.inputs import take_in

    if out.suffix.lower() not in (".csv", ".parquet"):
        raise UserError(f"--out {out}: must end in .csv or .parquet")
    loaded = audiomatch.load(model, progress=True, **how)
    intake, opened = take_in(
        data_path(data),
        loaded.run,
        labelled=False,
        dataset=dataset,
        columns=columns,
        skip_bad=skip_bad,
        limit=limit,
    )
    clips = intake.clips
    started = time.perf_counter()
    p_match = loaded.predict(clips)
    seconds = time.perf_counter() - started
    name, score = opened.columns
    write_table(out, pd.DataFrame({name: clips.ids, score: p_match}))
    label = loaded.card.matcher
    if as_json:
        facts = {"out": str(out), "matcher": label, "clips": len(clips)}
        print_json({**facts, "skipped": intake.skipped, "seconds": seconds})
    else:
        click.echo(
            f"{label}: {len(clips)} clips in {seconds:.1f} s "
            f"({len(clips) / max(seconds, 1e-9):.1f} clips/s), written to {out}"
        )
