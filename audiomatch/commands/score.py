"""`audiomatch score`: an answer without labels."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from audiomatch.commands.options import data_options, data_path, run_options
from audiomatch.commands.output import print_json, print_table
from audiomatch.commands.paths import OutputData, UserPath, check_not_clip

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

    from audiomatch.datasets import DatasetInfo
    from audiomatch.scored import CorpusScore


@click.command()
@data_options
@click.argument("text", required=False)
@click.option(
    "--model",
    type=UserPath(),
    help="A folder that `fit` saved, NAME:ready or hf:OWNER/NAME (else the best that a plugin "
    "carries).",
)
@click.option(
    "--out",
    type=OutputData(),
    help="DATA with its answers, in its own format, or a table: .csv, .tsv, .jsonl, .parquet.",
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
    every clip of DATA is scored into --out: DATA as it is, p_match, p_corpus (for the share of
    wrong texts that DATA itself seems to have) and verdict. With --keep or --drop, what is left out
    is written beside it, as NAME-dropped, worst first.
    """
    import audiomatch
    from audiomatch.errors import UserError
    from audiomatch.explanation.tables import explanation_table
    from audiomatch.scored import ready_model

    many = (out, worst_first, keep, drop, dataset, columns, limit, skip_bad)
    if text is not None and any(many):
        raise UserError("the options for many clips and TEXT do not go together; leave out TEXT")
    if text is None:
        _check_many(data, dataset, out, keep, drop)
    loaded = audiomatch.load(model or ready_model(), progress=True, **how)
    if text is not None:
        one = audiomatch.score(str(data), text, model=loaded)
        if as_json:
            print_json(one.as_dict())
            return
        click.echo(f"{one.verdict}: P(match) {one.p_match:.3f}, by {loaded.name}\n")
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


def _check_many(
    data: str | None,
    dataset: str | None,
    out: Path | None,
    keep: float | None,
    drop: float | None,
) -> None:
    from audiomatch.errors import UserError
    from audiomatch.files import check_not_input
    from audiomatch.inputs import find_layout

    check_not_clip(data)
    if out is None:
        raise UserError("many clips are scored into a file: name it with --out FILE.csv")
    if keep is not None and drop is not None:
        raise UserError("--keep and --drop say the same; give one of them")
    for name, share in (("keep", keep), ("drop", drop)):
        if share is not None and not 0 < share < 1:
            raise UserError(f"--{name} {share}: must be between 0 and 1")
    layout, path = find_layout(data_path(data), dataset)
    _check_ending(out, layout)
    if keep or drop:
        dropped = _dropped(out)
        check_not_input(dropped, [path] if path else [], "beside --out")
        if dropped.is_dir():
            raise UserError(f"--out {out}: there is a folder {dropped}, for what is left out")


def _check_ending(out: Path, layout: DatasetInfo) -> None:
    from audiomatch.datasets import MANIFEST_SUFFIXES
    from audiomatch.datasets.tables import table_suffix
    from audiomatch.errors import UserError

    endings = dict.fromkeys((*layout.endings, *MANIFEST_SUFFIXES))
    if table_suffix(out) not in endings or (out.is_dir() and table_suffix(out)):
        named = ", ".join(ending or "nothing (a folder)" for ending in endings)
        raise UserError(f"--out {out}: must end in one of {named}")


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
    best = found.clips.frame.index[kept]
    worst = _worst_first(found, first="last" if kept.all() else "first")
    if kept.all():
        _write_own(found, out, worst if worst_first else None)
        return facts
    _write_own(found, out, worst[worst.isin(best)] if worst_first else best)
    dropped = _dropped(out)
    _write_own(found, dropped, worst[~worst.isin(best)])
    return facts | {
        "kept": int(kept.sum()),
        "right_among_kept": asdict(found.estimates.matches_among(kept)),
        "dropped": str(dropped),
        "right_among_dropped": asdict(found.estimates.matches_among(~kept)),
    }


def _worst_first(found: CorpusScore, first: Literal["first", "last"]) -> pd.Index:
    """Return the rows asked for, the least probable first; those without an answer `first` too."""
    rows = found.opened.clips.frame.index
    p_match = found.answers()["p_match"]
    p_match = p_match.reindex(rows[rows.isin(p_match.index)])
    return p_match.sort_values(kind="stable", na_position=first).index


def _dropped(out: Path) -> Path:
    bare = Path(out.name.removesuffix(".gz"))
    packed = out.name[len(bare.name) :]
    return out.with_name(f"{bare.stem}-dropped{bare.suffix}{packed}")


def _write_own(found: CorpusScore, out: Path, only: Iterable[Any] | None) -> None:
    """Write the corpus, in its own format where the layout knows how, with the answers."""
    from audiomatch.datasets.cells import without_formulas
    from audiomatch.datasets.tables import table_suffix, write_table
    from audiomatch.datasets.writing import with_columns
    from audiomatch.plugins import registry

    more, frame = found.answers(), found.opened.clips.frame
    if table_suffix(out) in (".csv", ".tsv"):
        more = without_formulas(more)  # the user's own cells stay as they are
    layout = registry().datasets().get(found.opened.dataset)
    if layout and layout.write:
        layout.write(Path(found.opened.source), out, more, only)
    else:
        rows = frame.index[frame.index.isin(more.index)] if only is None else only
        write_table(out, with_columns(frame, more, rows))


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
