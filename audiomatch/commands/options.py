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
    from audiomatch.matcher import Run
    from audiomatch.spec import MatcherSpec


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


def warm_up_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --warm-up, which `with_warm_up` carries out."""
    return click.option(
        "--warm-up",
        metavar="DATA",
        help="Transcribed data that matchers with the option warm_up learn from first.",
    )(command)


def with_warm_up(specs: Sequence[MatcherSpec], data: str | None) -> list[MatcherSpec]:
    """Give DATA to each matcher that has the option `warm_up` and is not told it by name.

    Raises `UserError` where no matcher has the option.
    """
    from audiomatch.errors import UserError
    from audiomatch.plugins import registry

    if data is None:
        return list(specs)
    able = [s for s in specs if "warm_up" in type(registry().create(s).config).model_fields]
    if not able:
        named = ", ".join(map(str, specs))
        raise UserError(f"--warm-up: no matcher named has the option warm_up ({named})")
    return [
        spec.with_option("warm_up", data)
        if spec in able and "warm_up" not in dict(spec.options)
        else spec
        for spec in specs
    ]


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
