"""`audiomatch score`: an answer without labels."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from audiomatch.commands.options import data_options, data_path, run_options
from audiomatch.commands.output import print_json, print_table
from audiomatch.commands.paths import TABLES, OutputFile, UserPath, check_not_clip, check_suffix

if TYPE_CHECKING:
    from audiomatch.scored import CorpusScore


@click.command()
@data_options
@click.argument("text", required=False)
@click.option(
    "--model",
    type=UserPath(),
    help="A folder that `fit` saved, or NAME:ready (else the first that a plugin carries).",
)
@click.option(
    "--out", type=OutputFile(), help="File for the table with its answers: .csv, .jsonl, .parquet."
)
@click.option("--worst-first", is_flag=True, help="Write the least probable clips first.")
@click.option("--keep", type=float, metavar="SHARE", help="Write the best SHARE of the clips only.")
@click.option("--drop", type=float, metavar="SHARE", help="Leave out the worst SHARE of them.")
@run_options
def score(
    data: str | None,
    text: str | None,
    model: Path | None,
    out: Path | None,
    worst_first: bool,
    keep: float | None,
    drop: float | None,
    dataset: str | None,
    columns: dict[str, str] | None,
    limit: int | None,
    skip_bad: bool,
    as_json: bool,
    **how: Any,
) -> None:
    """Say whether clips say their texts, by a model that is ready: no labels are needed.

    With TEXT, DATA is one clip: the verdict, and each word with its times and P(said). Without,
    every clip of DATA is scored into the file --out: its own columns, p_match, p_corpus (for the
    share of wrong texts that DATA itself seems to have) and verdict. With --keep or --drop, what is
    left out is written beside it, as NAME-dropped, worst first.
    """
    import audiomatch
    from audiomatch.errors import UserError
    from audiomatch.explanation.tables import explanation_table
    from audiomatch.scored import ready_model

    many = (out, worst_first, keep, drop, dataset, columns, limit, skip_bad)
    if text is not None and any(many):
        raise UserError("the options for many clips and TEXT do not go together; leave out TEXT")
    if text is None:
        _check_many(data, out, keep, drop)
    loaded = audiomatch.load(model or ready_model(), progress=True, **how)
    if text is not None:
        one = audiomatch.score(str(data), text, model=loaded)
        if as_json:
            print_json(one.as_dict())
            return
        click.echo(f"{one.verdict}: P(match) {one.p_match:.3f}\n")
        if one.explanation is not None:
            print_table(explanation_table(one.explanation))
        return
    assert out is not None
    found = audiomatch.score(
        data_path(data),
        model=loaded,
        dataset=dataset,
        columns=columns,
        limit=limit,
        skip_bad=skip_bad,
    )
    share = keep if keep is not None else 1 - drop if drop is not None else 1.0
    facts = _write(found, out, share, worst_first)
    if as_json:
        print_json({"model": loaded.name, **facts})
    else:
        _tell(loaded.name, facts)


def _check_many(data: str | None, out: Path | None, keep: float | None, drop: float | None) -> None:
    from audiomatch.errors import UserError
    from audiomatch.files import check_not_input, user_path

    check_not_clip(data)
    if out is None:
        raise UserError("many clips are scored into a file: name it with --out FILE.csv")
    check_suffix(out, TABLES)
    if keep is not None and drop is not None:
        raise UserError("--keep and --drop say the same; give one of them")
    if data is not None and (keep or drop):
        check_not_input(_dropped(out), [user_path(data)], "beside --out")
    for name, share in (("keep", keep), ("drop", drop)):
        if share is not None and not 0 < share < 1:
            raise UserError(f"--{name} {share}: must be between 0 and 1")


def _write(found: CorpusScore, out: Path, share: float, worst_first: bool) -> dict[str, Any]:
    """Write the table, and what is left out beside it; return what is to be told."""
    facts: dict[str, Any] = {
        "out": str(out),
        "clips": len(found.table),
        "verdicts": found.table["verdict"].value_counts().to_dict(),
        "skipped": list(map(str, found.skipped)),
        "warnings": list(found.warnings),
        "wrong": asdict(found.estimates.wrong()),
        "warning": found.warning,
    }
    kept = found.keep(share)
    _write_own(found, out)
    if kept.all() and not worst_first:
        return facts
    dropped = _dropped(out)
    _rearrange(out, int((~kept).sum()), dropped, worst_first)
    if kept.all():
        return facts
    return facts | {
        "kept": int(kept.sum()),
        "right_among_kept": asdict(found.estimates.matches_among(kept)),
        "dropped": str(dropped),
        "right_among_dropped": asdict(found.estimates.matches_among(~kept)),
    }


def _dropped(out: Path) -> Path:
    return out.with_name(f"{out.stem}-dropped{out.suffix}")


def _write_own(found: CorpusScore, out: Path) -> None:
    """Write the corpus's own table, in its own format where the layout knows how, and answers."""
    from audiomatch.datasets.tables import write_table
    from audiomatch.plugins import registry

    more = found.answers()
    layout = registry().datasets().get(found.opened.dataset)
    if layout and layout.write:
        layout.write(Path(found.opened.source), out, more)
    else:
        own = found.opened.clips.frame.loc[more.index]
        write_table(out, own.assign(**{str(name): more[name] for name in more}))


def _rearrange(out: Path, count: int, dropped: Path, worst_first: bool) -> None:
    """Sort the rows of a table that was written, and move the `count` worst into another.

    Clips without a P(match) go with these; where none are moved they are the last.
    """
    import pandas as pd

    from audiomatch.datasets.tables import read_table, write_table

    table = read_table(out)
    p_match = pd.to_numeric(table["p_match"])
    order = p_match.sort_values(kind="stable", na_position="first" if count else "last").index
    count += int(p_match.isna().sum()) if count else 0
    best = table.loc[order[count:]]
    write_table(out, best if worst_first else best.sort_index())
    if count:
        write_table(dropped, table.loc[order[:count]])


def _tell(matcher: str, facts: dict[str, Any]) -> None:
    counts = ", ".join(f"{count} {verdict}" for verdict, count in facts["verdicts"].items())
    click.echo(f"{matcher}: {facts['clips']} clips ({counts}), written to {facts['out']}")
    click.echo(f"estimated: {_percent(facts['wrong'])} of the clips do not say their text")
    if "kept" in facts:
        kept, left = facts["kept"], facts["clips"] - facts["kept"]
        right, lost = _percent(facts["right_among_kept"]), _percent(facts["right_among_dropped"])
        click.echo(f"estimated: {right} of the {kept} kept say their text")
        click.echo(f"estimated: {lost} of the {left} in {facts['dropped']} do so too")
    if facts["warning"]:
        click.echo(f"audiomatch: {facts['warning']}", err=True)


def _percent(estimate: dict[str, float]) -> str:
    value, low, high = (100 * estimate[name] for name in ("value", "low", "high"))
    return f"{value:.1f} % ({low:.1f} to {high:.1f})"
