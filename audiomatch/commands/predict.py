"""`audiomatch predict`: P(match) of each clip by a fitted model."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from audiomatch.commands.options import data_options, data_path, run_options
from audiomatch.commands.output import print_json
from audiomatch.commands.paths import TABLES, OutputFile, UserPath, check_suffix

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from audiomatch.clips import Clips
    from audiomatch.fitted import Model
    from audiomatch.inputs import Opened
    from audiomatch.intake import Intake

STDOUT = Path("-")
# Of a clip's own columns those that are written beside its prediction, where they are there.
SHOWN = ("expected_text", "speaker")


@click.command()
@click.argument("model", type=UserPath())
@data_options
@click.option(
    "--out",
    type=OutputFile(),
    help="File for the predictions: .csv, .jsonl or .parquet; - for CSV on standard output.",
)
@click.option("--text", help="DATA is one clip that should say this; its P(match) is printed.")
@run_options
def predict(
    model: Path,
    data: str | None,
    dataset: str | None,
    columns: dict[str, str] | None,
    limit: int | None,
    skip_bad: bool,
    out: Path | None,
    text: str | None,
    as_json: bool,
    **how: Any,
) -> None:
    """Predict with MODEL on DATA (else mini-screener).

    MODEL is a folder that `fit` saved, NAME:ready, or hf:OWNER/NAME of the Hugging Face hub.

    Writes a row a clip in the order of DATA: id, p_match, verdict, expected_text and speaker (for
    the drivendata layout filename and score alone, in the order of submission_format.csv where it
    is there). A clip that --skip-bad leaves out has a row without p_match and with the reason in
    the column skipped, or in a submission with the share of matches that MODEL was fitted on.
    In CSV a text that a spreadsheet would run as a formula begins with '; ids stay as they are.
    """
    import audiomatch
    from audiomatch.datasets.cells import without_formulas
    from audiomatch.datasets.tables import table_suffix, write_table
    from audiomatch.errors import UserError
    from audiomatch.inputs import one_clip

    if text is None:
        _check_out(out)
    elif out or dataset or columns or limit or skip_bad:
        raise UserError("--text is for one clip, whose P(match) is printed; leave out the others")
    loaded = audiomatch.load(model, progress=True, **how)
    if text is not None:
        one = one_clip(str(data), text, say=loaded.run.progress.say)
        p_match = float(loaded.predict(one.clips)[0])
        facts: dict[str, Any] = {"p_match": p_match, "warnings": one.warnings}
        print_json(facts) if as_json else click.echo(f"{p_match:.6f}")
        return
    intake, opened = loaded.take_in(
        data_path(data),
        labelled=False,
        dataset=dataset,
        columns=columns,
        skip_bad=skip_bad,
        limit=limit,
    )
    started = time.perf_counter()
    with loaded.predicted(intake.clips) as p:
        table = _table(loaded, intake, opened, p)
        seconds = time.perf_counter() - started
        if opened.clips.withheld:
            said = "DATA has labels: `audiomatch evaluate MODEL DATA` scores by them"
            loaded.run.progress.say(said)
        if out is None or table_suffix(out) not in (".jsonl", ".parquet"):
            table = without_formulas(table, opened.columns)
        if out != STDOUT:
            assert out is not None
            write_table(out, table)
    if out == STDOUT:
        click.echo(table.to_csv(index=False), nl=False)
        return
    label, count = loaded.name, len(intake.clips)
    if as_json:
        facts = {"out": str(out), "matcher": label, "clips": count, "seconds": seconds}
        print_json({**facts, "skipped": list(map(str, intake.skipped)),
                    "warnings": intake.warnings})  # fmt: skip
        return
    click.echo(
        f"{label}: {count} clips in {seconds:.1f} s "
        f"({count / max(seconds, 1e-9):.1f} clips/s), written to {out}"
    )


def _check_out(out: Path | None) -> None:
    from audiomatch.errors import UserError

    if out is None:
        raise UserError("the predictions go into a file: name it with --out FILE.csv")
    if out == STDOUT and sys.__stdout__ is None:
        raise UserError("--out -: standard output is closed")
    if out != STDOUT:
        check_suffix(out, TABLES, also=", or be -")


def _table(
    model: Model, intake: Intake, opened: Opened, p_match: NDArray[np.float64]
) -> pd.DataFrame:
    """Return what is written: a row for each clip asked for, those left out by --skip-bad too."""
    import pandas as pd

    from audiomatch.scored import verdicts

    clips, asked = intake.clips, _asked(intake, opened)
    name, score = opened.columns
    found = pd.DataFrame({name: clips.ids, score: p_match})
    submission = opened.columns != ("id", "p_match")
    if not submission:
        found["verdict"] = verdicts(model, clips, p_match)
    found = found.set_index(name).reindex(asked.ids).rename_axis(name).reset_index()
    if not submission:
        found = found.assign(**{c: asked[c].to_numpy() for c in SHOWN if c in asked.frame})
    if intake.skipped:
        if not submission:
            reasons = {one.id: one.reason for one in intake.skipped}
            found["skipped"] = found[name].map(reasons)
        said = "have no p_match"
        rate = model.card.fit.match_rate if model.card.fit else None
        if submission and rate is not None:
            found[score] = found[score].fillna(rate)
            said = f"have the share of matches that the model was fitted on, {rate:.3f}"
        model.run.progress.say(f"the {len(intake.skipped)} clips left out {said}")
    return _in_order_of_format(found, name, Path(opened.source)) if submission else found


def _asked(intake: Intake, opened: Opened) -> Clips:
    """Return the clips that were asked for, those that were left out too."""
    skipped = {one.id for one in intake.skipped}
    if not skipped:
        return intake.clips
    wanted = skipped.union(intake.clips.ids)
    return opened.clips.take([i for i, name in enumerate(opened.clips.ids) if name in wanted])


def _in_order_of_format(found: pd.DataFrame, name: str, folder: Path) -> pd.DataFrame:
    """Return the rows in the order of submission_format.csv, where it lies in the folder."""
    from audiomatch.datasets.tables import read_table

    file = folder / "submission_format.csv"
    if not file.is_file():
        return found
    wanted = read_table(file)[name]
    if set(wanted) != set(found[name]):
        return found
    return found.set_index(name).loc[wanted].reset_index()
