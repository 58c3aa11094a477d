"""`audiomatch bench`: compare matchers on the same folds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from audiomatch.commands.options import (
    MatcherCommand,
    cluster_option,
    data_options,
    data_path,
    executor_option,
    group_option,
    matters_option,
    negatives_option,
    run_options,
    split_option,
    with_flags,
)
from audiomatch.commands.output import print_json, print_table
from audiomatch.commands.paths import OutputFolder, UserPath
from audiomatch.commands.stopping import check_started_once, if_stopped


@click.command(cls=MatcherCommand)
@data_options
@click.option(
    "--matchers",
    "named",
    required=True,
    metavar="A,B",
    help="Matchers to compare (NAME[:PRESET][@key=value]…), with commas between.",
)
@click.option("--folds", type=click.IntRange(min=2), default=5, show_default=True, help="Folds.")
@group_option(
    "Clips alike in it (A+B: in either) share a fold, as those of one recording do; or 'none'."
)
@cluster_option
@matters_option
@negatives_option
@split_option("Fit on the rows where it is train, predict those where it is test; no folds.")
@click.option(
    "--test", type=UserPath(), metavar="DATA", help="Fit on all of DATA, predict these; no folds."
)
@click.option(
    "--labels",
    type=UserPath(),
    metavar="FILE",
    help="Corrected labels (columns id, match), in the place of those of DATA.",
)
@click.option(
    "--train-sizes",
    metavar="N,…",
    help="Learn from so many clips of each training part too: 0 (ready models), 50, 200, all.",
)
@click.option(
    "--repeats",
    type=click.IntRange(1, 100),
    default=1,
    show_default=True,
    help="Cross-validate so often: other folds, other training seeds; then recipes are judged.",
)
@click.option(
    "--calibrate",
    is_flag=True,
    help="Score calibrated probabilities beside the raw (3 more fits a fold).",
)
@click.option(
    "--fold",
    type=click.IntRange(min=1),
    metavar="K",
    help="Compute only fold K, from 1; the last into one --out makes the tables.",
)
@click.option(
    "--floors",
    default="all",
    show_default=True,
    metavar="A,B",
    help="Floors beside them: all, none, or names; untrained is a matcher without its training.",
)
@click.option(
    "--out",
    type=OutputFolder(),
    help="Run folder [runs/NAME-OF-DATA]; a second run of the same folds goes on with it.",
)
@executor_option
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Let a fold fail that takes longer.",
)
@click.option(
    "--memory",
    type=click.FloatRange(min=0, min_open=True),
    metavar="MB",
    help="Let a fold fail that has more resident.",
)
@click.option(
    "--probe", is_flag=True, help="Plant answers in held-out matches: which are confirmed."
)
@click.option("--strict", is_flag=True, help="Stop at a matcher that cannot be had, else skipped.")
@click.option(
    "--allow", multiple=True, metavar="ID", help="Go on in spite of an error of the audit."
)
@run_options
def bench(
    data: str | None,
    named: str,
    out: Path | None,
    as_json: bool,
    executor: str,
    timeout: float | None,
    memory: float | None,
    **how: Any,
) -> int:
    """Compare matchers on DATA (a manifest or folder; else mini-screener) by cross-validation.

    The floors run beside them. With --split or --test one part is fitted on and another predicted.
    Exit code 1 when a fold of a matcher failed, or a matcher was skipped.
    """
    import audiomatch
    from audiomatch.scoring import tables
    from audiomatch.spec import parse_matchers

    check_started_once()
    specs = with_flags(parse_matchers(named))
    limits = {"timeout": timeout, "memory": memory}
    executor += "".join(f"@{name}={value}" for name, value in limits.items() if value)
    with if_stopped("what is finished is kept"):
        found = audiomatch.compare(
            data_path(data), specs, out=out, progress=True, executor=executor, **how
        )
    if as_json:
        facts = {"run": str(found.folder), "missing_folds": found.missing}
        print_json({**found.record.model_dump(mode="json"), **facts})
    elif found.missing:
        missing = ", ".join(map(str, found.missing))
        click.echo(f"Run folder: {found.folder}   still to compute: --fold {missing}")
    else:
        print_table(*tables(found.record))
        click.echo(f"Run folder: {found.folder}   report: {found.folder / 'report.html'}")
    return 1 if found.problems else 0
