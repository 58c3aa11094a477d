"""Options that several commands share, and the `Run` they make."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from audiomatch.commands.paths import UserPath

if TYPE_CHECKING:
    from audiomatch.intake import Intake
    from audiomatch.matcher import Flag, Run
    from audiomatch.spec import MatcherSpec

FLAGS = "audiomatch.flags"


def data_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add DATA and what says how to read it."""
    decorators = (
        click.argument("data", required=False),
        click.option("--dataset", metavar="NAME", help="Layout of DATA (else told by the path)."),
        click.option(
            "--limit", type=click.IntRange(min=1), metavar="N", help="Draw N clips by the seed."
        ),
        click.option("--skip-bad", is_flag=True, help="Go on without clips that cannot be used."),
    )
    return functools.reduce(lambda made, add: add(made), reversed(decorators), command)


def run_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add where and how to compute."""
    decorators = (
        click.option(
            "--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps."
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
        click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON."),
    )
    return functools.reduce(lambda made, add: add(made), reversed(decorators), command)


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
    def keep(context: click.Context, option: click.Parameter, value: str | None) -> None:
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


def make_run(
    device: str, precision: Any, seed: int, workers: int | None, cache: Path | None
) -> Run:
    """Make the `Run` of a command from its options."""
    from audiomatch.machine import default_cache, default_workers, resolve_device
    from audiomatch.matcher import Run
    from audiomatch.progress import for_terminal

    return Run(
        cache=(cache or default_cache()).resolve(),
        device=resolve_device(device),
        precision=precision,
        seed=seed,
        workers=workers or default_workers(),
        progress=for_terminal(),
    )


def take_in(
    data: str | None,
    dataset: str | None,
    run: Run,
    labelled: bool,
    skip_bad: bool,
    limit: int | None,
) -> tuple[Intake, Any]:
    """Open the data and check its clips; returns them with the dataset's layout."""
    from audiomatch.datasets import choose_dataset
    from audiomatch.errors import ClipError
    from audiomatch.intake import admit
    from audiomatch.plugins import registry

    info, path = choose_dataset(registry().datasets(), data, dataset)
    try:
        intake = admit(info.open(path, labelled), run, skip_bad, limit)
    except ClipError as error:
        raise ClipError(f"{error}; --skip-bad goes on without") from None
    if intake.skipped:
        count = len(intake.skipped)
        run.progress.say(f"left out {count} clip{'s' * (count > 1)} that cannot be used:")
        for line in intake.skipped[:10]:
            run.progress.say(f"  {line}")
        if len(intake.skipped) > 10:
            run.progress.say(f"  and {len(intake.skipped) - 10} more")
    return intake, info
