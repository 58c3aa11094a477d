"""Options that several commands share."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from audiomatch.commands.paths import UserPath, check_outputs

if TYPE_CHECKING:
    from audiomatch.matcher import Flag
    from audiomatch.spec import MatcherSpec

FLAGS = "audiomatch.flags"


class Columns(click.ParamType):
    """Names of columns as in audio=path,expected_text=sentence."""

    name = "columns"

    def convert(self, value: Any, param: click.Parameter | None, ctx: Any) -> dict[str, str]:
        """Return the table's name for each of ours."""
        if isinstance(value, dict):
            return value
        found: dict[str, str] = {}
        for part in value.split(","):
            ours, _, theirs = (side.strip() for side in part.partition("="))
            if not ours or not theirs or ours in found:
                self.fail(f"{part!r}: must be OURS=THEIRS, each of ours once", param, ctx)
            found[ours] = theirs
        return found


def data_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add DATA and what says how to read it; no output of the command may be an input."""

    @functools.wraps(command)
    def checked(**given: Any) -> Any:
        check_outputs(click.get_current_context())
        return command(**given)

    decorators = (
        click.argument("data", required=False),
        click.option("--dataset", metavar="NAME", help="Layout of DATA (else told by the path)."),
        click.option(
            "--columns",
            type=Columns(),
            metavar="OURS=THEIRS,…",
            help="Which columns of DATA are audio, expected_text, match and others.",
        ),
        click.option(
            "--limit", type=click.IntRange(min=1), metavar="N", help="Draw N clips by the seed."
        ),
        click.option("--skip-bad", is_flag=True, help="Go on without clips that cannot be used."),
    )
    return functools.reduce(lambda made, add: add(made), reversed(decorators), checked)


def group_option(help_: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return what adds --group, which means `help_`."""
    return click.option(
        "--group", default="expected_text", show_default=True, metavar="COLUMN", help=help_
    )


cluster_option = click.option(
    "--cluster",
    default="group",
    show_default=True,
    metavar="COLUMN",
    help="Intervals are over its values (A+B: over both, where they cross).",
)

executor_option = click.option(
    "--executor",
    default="process",
    show_default=True,
    metavar="NAME",
    help="What computes the folds (NAME[@key=value]…).",
)

matters_option = click.option(
    "--matters",
    type=click.FloatRange(min=0),
    default=0.005,
    show_default=True,
    metavar="NATS",
    help="Matchers whose log losses differ by less are called equivalent.",
)

negatives_option = click.option(
    "--negatives",
    metavar="KINDS",
    help="Of matches alone, make mismatches: swap, replace, insert, delete, sound, "
    "truncate, extend, transpose, edit.",
)


def split_option(help_: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return what adds --split, which means `help_`."""
    return click.option("--split", metavar="COLUMN", help=help_)


def run_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add where and how to compute."""
    decorators = (
        click.option(
            "--device",
            default="auto",
            show_default=True,
            help="auto, cpu, cuda, cuda:N or mps; some commands take cuda:0,cuda:1 or cpu*2.",
        ),
        click.option(
            "--precision",
            type=click.Choice(["auto", "fp32", "bf16", "fp16"]),
            default="auto",
            show_default=True,
            help="Number format of the models.",
        ),
        click.option(
            "--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Seed."
        ),
        click.option(
            "--workers", type=click.IntRange(min=1), metavar="N", help="CPU workers (else cores)."
        ),
        click.option(
            "--cache",
            type=UserPath(),
            help="Folder for features and checks kept between runs [$AUDIOMATCH_CACHE].",
        ),
        click.option(
            "--offline",
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_go_offline,
            help="Make no network call: weights are those of this machine [HF_HUB_OFFLINE].",
        ),
        click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON."),
    )
    return functools.reduce(lambda made, add: add(made), reversed(decorators), command)


def _go_offline(_context: click.Context, _option: click.Parameter, wanted: bool) -> None:
    """Set the hub's own variable, which its library reads when it is imported."""
    if wanted:
        os.environ["HF_HUB_OFFLINE"] = "1"


class MatcherCommand(click.Command):
    """A command that takes the flags of the matchers that are installed, see `with_flags`."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return its own parameters, then the flags; one with the name of its own is left out."""
        from audiomatch.plugins import registry

        parameters = super().get_params(ctx)
        own = {spelled for parameter in parameters for spelled in parameter.opts}
        flags: dict[str, Flag] = {}
        for offer in registry().matchers().values():
            for flag in offer.info.flags:
                if f"--{flag.name}" not in own:
                    flags.setdefault(flag.name, flag)
                elif not ctx.meta.setdefault(f"{FLAGS}.{flag.name}", False):
                    ctx.meta[f"{FLAGS}.{flag.name}"] = True
                    says = f"the flag --{flag.name} is the command's own; it is left out"
                    click.echo(f"audiomatch: {offer.plugin}: {says}", err=True)
        return [*parameters, *map(_flag_option, flags.values())]


def _flag_option(flag: Flag) -> click.Option:
    def keep(context: click.Context, _option: click.Parameter, value: str | None) -> None:
        if value is not None:
            context.meta.setdefault(FLAGS, {})[flag.name] = value

    return click.Option(
        [f"--{flag.name}"], metavar=flag.metavar, help=flag.help, expose_value=False, callback=keep
    )


def with_flags(specs: Sequence[MatcherSpec]) -> list[MatcherSpec]:
    """Set the options that flags of this command stand for, where a matcher has the flag.

    What a matcher is told by name goes first. Raises `UserError` for a name that is not there, and
    for a flag that no matcher named has.
    """
    from audiomatch.errors import UserError
    from audiomatch.plugins import registry

    changed = list(specs)
    offers = [registry().offer(spec) for spec in specs]
    for name, value in click.get_current_context().meta.get(FLAGS, {}).items():
        options = [{f.name: f.option for f in offer.info.flags}.get(name) for offer in offers]
        if not any(options):
            raise UserError(f"--{name}: no matcher named takes it ({', '.join(map(str, specs))})")
        changed = [
            spec.with_option(option, value) if option and option not in dict(spec.options) else spec
            for spec, option in zip(changed, options, strict=True)
        ]
    return changed


def data_path(data: str | None) -> Path | None:
    """Return DATA as a path, never as the name of a dataset."""
    return None if data is None else Path(data)
