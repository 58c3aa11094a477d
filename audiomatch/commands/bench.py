"""`audiomatch bench`: compare matchers on the same folds."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from audiomatch.commands.options import (
    data_options,
    make_run,
    run_options,
    take_in,
    warm_up_option,
    with_warm_up,
)
from audiomatch.commands.output import print_json, print_table
from audiomatch.commands.paths import OutputFolder

if TYPE_CHECKING:
    from audiomatch.plugins import Registry
    from audiomatch.running.crossval import Result


@click.command()
@data_options
@click.option(
    "--matchers",
    "named",
    required=True,
    metavar="A,B",
    help="Matchers to compare, with commas between: NAME[:PRESET][@key=value]…",
)
@click.option(
    "--folds", "k", type=click.IntRange(min=2), default=5, show_default=True, help="Folds."
)
@click.option(
    "--group",
    default="expected_text",
    show_default=True,
    metavar="COLUMN",
    help="Clips alike in it share a fold; 'none' for plain folds.",
)
@click.option(
    "--out",
    type=OutputFolder(),
    help="Run folder [runs/NAME-OF-DATA]; a second run goes on with it.",
)
@warm_up_option
@run_options
def bench(
    data: str | None,
    dataset: str | None,
    limit: int | None,
    skip_bad: bool,
    named: str,
    k: int,
    group: str,
    out: Path | None,
    warm_up: str | None,
    as_json: bool,
    **how: Any,
) -> int:
    """Compare matchers on DATA (a manifest or folder; else mini-screener) by cross-validation.

    The floors run beside them. Exit code 1 when a fold of a matcher failed.
    """
    from audiomatch.files import check_output_folder
    from audiomatch.folds import make_folds
    from audiomatch.further import keep_apart
    from audiomatch.intake import data_digest
    from audiomatch.machine import versions
    from audiomatch.plugins import registry
    from audiomatch.report import write_report
    from audiomatch.running.crossval import cross_validate, enter, pooled_predictions
    from audiomatch.running.folder import RunFolder
    from audiomatch.scoring import build_leaderboard
    from audiomatch.spec import parse_matchers

    specs = parse_matchers(named)
    for spec in specs:
        registry().offer(spec)
    specs = with_warm_up(specs, warm_up)
    out = out or _default_folder(data, dataset)
    check_output_folder(out, "--out")
    run = make_run(**how)
    intake, info = take_in(data, dataset, run, True, skip_bad, limit)
    folds = make_folds(intake.clips, k, group, run.seed)
    entrants = enter(registry(), specs)
    keep_apart([d for entrant in entrants for d in entrant.further_data], intake.clips, run)
    folder = RunFolder(out)
    folder.write(
        "folds.json",
        {
            "folds": k,
            "group": group,
            "digest": folds.digest,
            "fold_of": dict(zip(folds.clips.ids, folds.of.tolist(), strict=True)),
        },
    )
    started = time.time()
    problems: list[str] = []

    def fold_done(result: Result) -> None:
        run.progress.say(_line(result, k))
        problems.extend(_tell(registry(), run, "audiomatch_fold_done", result))

    results = cross_validate(entrants, folds, run, folder, fold_done)
    predictions = pooled_predictions(results, folds)
    folder.write_predictions(predictions.drop(columns=["task", "grade", "expected_text"]))
    with run.progress.task("scoring", total=1, unit="tables") as task:
        leaderboard = build_leaderboard(predictions, results, seed=run.seed)
        task.advance()
    settings = {
        "data": {
            "dataset": info.name,
            "source": str(Path(data).resolve()) if data else info.name,
            "digest": data_digest(intake.clips),
            "clips": len(intake.clips),
            "seconds_of_audio": float(intake.clips["seconds"].sum()),
            "limit": limit,
            "skipped": intake.skipped,
        },
        "folds": {"k": k, "group": group, "digest": folds.digest},
        "groups": len(set(folds.clips.groups)),
        "seed": run.seed,
        "device": run.device,
        "precision": run.precision,
        "workers": run.workers,
        "versions": versions(),
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "seconds": time.time() - started,
        "results": [_without_predictions(result) for result in results],
    }
    folder.write("leaderboard.json", leaderboard)
    problems += registry().tell("audiomatch_run_done", folder=folder.path, leaderboard=leaderboard)
    settings["listener_errors"] = problems
    folder.write("run.json", settings)
    write_report(folder.path, leaderboard, predictions, settings)
    for problem in problems:
        run.progress.say(problem)
    _answer(leaderboard, folder.path, as_json)
    failed = any(result["status"] == "failed" for result in results)
    return 1 if failed or problems else 0


def _default_folder(data: str | None, dataset: str | None) -> Path:
    """Return `runs/NAME`, with the name of the file or folder that `data` stands for."""
    from audiomatch.datasets import DEFAULT
    from audiomatch.files import user_path

    if data is None:
        return Path("runs") / (dataset or DEFAULT)
    place = user_path(data).resolve()
    return Path("runs") / ((place.name if place.is_dir() else place.stem) or "data")


def _tell(registry: Registry, run: Any, hook: str, result: Result) -> list[str]:
    return registry.tell(
        hook,
        matcher=result["matcher"],
        fold=result["fold"],
        result=_without_predictions(result),
    )


def _without_predictions(result: Result) -> Result:
    return {key: value for key, value in result.items() if key not in ("ids", "p_match")}


def _line(result: Result, k: int) -> str:
    head = f"{result['matcher']} fold {result['fold'] + 1}/{k}: "
    if result["status"] == "failed":
        return head + f"failed: {result['error']}"
    seconds = result["seconds_fit"] + result["seconds_predict"]
    return head + (f"replayed ({seconds:.1f} s then)" if result["replayed"] else f"{seconds:.1f} s")


def _answer(leaderboard: dict[str, Any], path: Path, as_json: bool) -> None:
    if as_json:
        print_json({**leaderboard, "run": str(path)})
        return
    from audiomatch.scoring import leaderboard_table

    print_table(leaderboard_table(leaderboard))
    click.echo(f"Run folder: {path}   report: {path / 'report.html'}")
