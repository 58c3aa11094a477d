"""`audiomatch explain`: where in the text the error is."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from audiomatch.commands.options import data_options, make_run, run_options, take_in
from audiomatch.commands.output import print_json, print_table
from audiomatch.commands.paths import OutputFile, UserPath

if TYPE_CHECKING:
    from audiomatch.clips import Clips
    from audiomatch.explanation import Explanation
    from audiomatch.matcher import Matcher

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
    from audiomatch.errors import UserError
    from audiomatch.explanation import checked_explanations
    from audiomatch.explanation.tables import explanation_table, write_explanations
    from audiomatch.model import load_model
    from audiomatch.plugins import registry

    if out is not None and out.suffix.lower() not in SUFFIXES:
        raise UserError(f"--out {out}: must end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")
    if picture is not None and picture.suffix.lower() != ".svg":
        raise UserError(f"--picture {picture}: must end in .svg, which every browser shows")
    if text is not None:
        if dataset or limit or skip_bad:
            raise UserError("--dataset, --limit and --skip-bad are for many clips; leave out TEXT")
        clips = _one_clip(str(data), text)
    else:
        _check_many(data, out, picture)
    matcher, card = load_model(model, registry())
    _refuse_silent(matcher, card["matcher"])
    run = make_run(**how)
    if text is None:
        intake, _ = take_in(data, dataset, run, False, skip_bad, limit)
        clips = intake.clips.unlabelled()
    started = time.perf_counter()
    found = checked_explanations(matcher.explain(clips, run), clips)
    seconds = time.perf_counter() - started
    if out is not None:
        write_explanations(out, found)
    if picture is not None:
        _draw(picture, found[0], clips)
    if text is None:
        _tell(f"{card['matcher']}: {len(found)} clips explained in {seconds:.1f} s", out, as_json,
              {"matcher": card["matcher"], "clips": len(found), "skipped": intake.skipped,
               "seconds": seconds})  # fmt: skip
        return
    if as_json:
        print_json(found[0].as_dict())
        return
    print_table(explanation_table(found[0]))
    for file in (out, picture):
        if file is not None:
            click.echo(f"written to {file}")


def _refuse_silent(matcher: Matcher, label: str) -> None:
    """Raise `UserError`, with the matchers that explain, where this one does not."""
    from audiomatch.errors import UserError
    from audiomatch.matcher import Matcher
    from audiomatch.plugins import registry

    if type(matcher).explain is Matcher.explain:
        able = [name for name, offer in registry().matchers().items() if offer.info.explains]
        raise UserError(
            f"{label} judges a text as a whole and cannot say where the error is; "
            f"installed matchers that can: {', '.join(able) or 'none'}"
        )


def _one_clip(path: str, text: str) -> Clips:
    """Return the clip as a table of one row; raises `UserError` where it cannot be used."""
    import pandas as pd

    from audiomatch.audio import load_audio
    from audiomatch.clips import Clips
    from audiomatch.errors import UserError

    if not text.strip():
        raise UserError("TEXT is empty; say what the clip should say")
    load_audio(path)
    row = {"id": Path(path).name, "audio": str(Path(path).resolve()), "expected_text": text}
    return Clips(pd.DataFrame([row]), source="command line")


def _check_many(data: str | None, out: Path | None, picture: Path | None) -> None:
    from audiomatch.audio import EXTENSIONS
    from audiomatch.errors import UserError

    if data is not None and data.lower().endswith(EXTENSIONS):
        raise UserError(f"{data} is one clip: say after it, in quotes, what it should say")
    if picture is not None:
        raise UserError("--picture draws one clip: name a clip and, in quotes, its text")
    if out is None:
        raise UserError("many clips are explained into a file: name it with --out FILE.jsonl")


def _draw(picture: Path, one: Explanation, clips: Clips) -> None:
    from audiomatch.audio import load_audio
    from audiomatch.explanation.picture import draw_explanation
    from audiomatch.files import atomic_file

    svg = draw_explanation(one, load_audio(clips.paths[0]))
    with atomic_file(picture) as temporary:
        temporary.write_text(svg, encoding="utf-8")


def _tell(line: str, out: Path | None, as_json: bool, facts: dict[str, Any]) -> None:
    if as_json:
        print_json({"out": str(out), **facts})
    else:
        click.echo(f"{line}, written to {out}")
