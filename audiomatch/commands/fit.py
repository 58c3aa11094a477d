"""`audiomatch fit`: refit on all the data what `bench` compared."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from audiomatch.commands.options import (
    MatcherCommand,
    data_options,
    data_path,
    group_option,
    negatives_option,
    run_options,
    split_option,
    with_flags,
)
from audiomatch.commands.output import print_json
from audiomatch.commands.paths import OutputFolder
from audiomatch.commands.stopping import NOTHING, check_started_once, if_stopped
from audiomatch.errors import UserError

if TYPE_CHECKING:
    from audiomatch.fitted import Model


@click.command(cls=MatcherCommand)
@click.argument("matcher")
@data_options
@group_option(
    "Clips alike in it (A+B: in either) stay together where a matcher splits them; or 'none'."
)
@negatives_option
@split_option("Fit on the rows where it is train; leave out the others.")
@click.option(
    "--out",
    type=OutputFolder(replaced=True),
    required=True,
    help="Folder for the model.",
)
@click.option(
    "--listen-cost",
    type=float,
    default=0.05,
    show_default=True,
    metavar="COST",
    help="Cost of listening to a clip, where a wrong verdict costs 1: decides what is a verdict.",
)
@click.option(
    "--target-precision",
    type=float,
    metavar="SHARE",
    help="In its place: the share of each verdict to be right, by held-out clips (3 more fits).",
)
@click.option(
    "--calibrate",
    is_flag=True,
    help="Calibrate the probabilities where that helps, by held-out clips (the same 3 fits).",
)
@run_options
def fit(matcher: str, data: str | None, out: Path, as_json: bool, **how: Any) -> None:
    """Fit MATCHER on all of DATA (else mini-screener) and save the model."""
    import audiomatch
    from audiomatch.spec import parse_matcher

    check_started_once()
    (spec,) = with_flags([parse_matcher(matcher)])
    with if_stopped(NOTHING, alone=True):
        model = audiomatch.fit(spec, data_path(data), progress=True, **how)
    model.save(out)
    assert model.card.fit is not None
    if as_json:
        facts = model.card.fit.model_dump(mode="json")
        nothing = _learned_nothing(model)
        print_json({"model": str(out), "matcher": str(spec), **facts, "learned_nothing": nothing})
    else:
        done = model.card.fit
        click.echo(f"{spec}: fitted on {done.clips} clips in {done.seconds:.1f} s, saved in {out}")
        if _learned_nothing(model):
            click.echo(
                f"{spec} learned nothing: it gives hardly more than one base rate, also to clips "
                "that it learned from"
            )


def _learned_nothing(model: Model) -> bool | None:
    """Ask a model that is saved; None, with a line, where it cannot predict."""
    try:
        return model.learned_nothing()
    except UserError as error:
        click.echo(f"the model is saved, but does not predict: {error}", err=True)
        return None
