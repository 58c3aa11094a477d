"""`audiomatch explain`: where in the text the error is."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from audiomatch.commands.options import data_options, data_path, run_options
from audiomatch.commands.output import print_json, print_table
from audiomatch.commands.paths import OutputFile, UserPath, check_not_clip, check_suffix

if TYPE_CHECKING:
    from audiomatch.clips import Clips
    from audiomatch.explanation import Explanation

SUFFIXES = (".jsonl", ".csv", ".parquet")


@click.command()
@click.argument("model", type=UserPath())
@data_options
@click.argument("text", required=False)
@click.option(
    "--out",
    type=OutputFile(),
    help="File for the explanations: .jsonl (a clip a line), .csv or .parquet (a word a row).",
)
@click.option(
    "--picture",
    type=OutputFile(),
    help="Draw the clip and its words into this .svg file.",
)
@run_options
def explain(
    model: Path,
    data: str | None,
    text: str | None,
    dataset: str | None,
    columns: dict[str, str] | None,
    limit: int | None,
    skip_bad: bool,
    out: Path | None,
    picture: Path | None,
    as_json: bool,
    **how: Any,
) -> None:
    """Say which word of a text a clip does not say, and what was heard instead.

    With TEXT, DATA is one clip; its words are shown with their probability and times. Without,
    every clip of DATA (else mini-screener) is explained into the file --out.
    """
    import audiomatch
    from audiomatch.errors import UserError
    from audiomatch.explanation.tables import explanation_table, write_explanations
    from audiomatch.inputs import one_clip

    if out is not None:
        check_suffix(out, SUFFIXES)
    if picture is not None and picture.suffix.lower() != ".svg":
        raise UserError(f"--picture {picture}: must end in .svg, which every browser shows")
    if text is not None:
        if dataset or columns or limit or skip_bad:
            raise UserError(
                "--dataset, --columns, --limit and --skip-bad are for many clips; leave out TEXT"
            )
        intake = one_clip(str(data), text, say=partial(click.echo, err=True))
    else:
        _check_many(data, out, picture)
    loaded = audiomatch.load(model, progress=True, **how)
    loaded.check_explains()
    if text is None:
        intake, _ = loaded.take_in(
            data_path(data),
            labelled=False,
            dataset=dataset,
            columns=columns,
            skip_bad=skip_bad,
            limit=limit,
        )
    skipped, warnings = list(map(str, intake.skipped)), intake.warnings
    started = time.perf_counter()
    found = loaded.explain(intake.clips)
    seconds = time.perf_counter() - started
    if out is not None:
        write_explanations(out, found)
    if picture is not None:
        _draw(picture, found[0], intake.clips)
    if text is None:
        label = loaded.name
        _tell(f"{label}: {len(found)} clips explained in {seconds:.1f} s", out, as_json,
              {"matcher": label, "clips": len(found), "skipped": skipped, "warnings": warnings,
               "seconds": seconds})  # fmt: skip
        return
    if as_json:
        print_json({**found[0].as_dict(), "warnings": warnings})
        return
    print_table(explanation_table(found[0]))
    for file in (out, picture):
        if file is not None:
            click.echo(f"written to {file}")


def _check_many(data: str | None, out: Path | None, picture: Path | None) -> None:
    from audiomatch.errors import UserError

    check_not_clip(data)
    if picture is not None:
        raise UserError("--picture draws one clip: name a clip and, in quotes, its text")
    if out is None:
        raise UserError("many clips are explained into a file: name it with --out FILE.jsonl")


def _draw(picture: Path, one: Explanation, clips: Clips) -> None:
    from audiomatch.audio import load_clip
    from audiomatch.explanation.picture import draw_explanation
    from audiomatch.files import atomic_file

    svg = draw_explanation(one, load_clip(clips, 0))
    with atomic_file(picture) as temporary:
        temporary.write_text(svg, encoding="utf-8")


def _tell(line: str, out: Path | None, as_json: bool, facts: dict[str, Any]) -> None:
    if as_json:
        print_json({"out": str(out), **facts})
    else:
        click.echo(f"{line}, written to {out}")
