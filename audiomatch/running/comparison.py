"""A comparison from folds to report: what `audiomatch bench` does once the data is open."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Executor
from pathlib import Path

from audiomatch.folds import Folds
from audiomatch.intake import Intake, data_digest
from audiomatch.machine import versions
from audiomatch.matcher import Run
from audiomatch.plugins import Registry
from audiomatch.records import (
    DataRecord,
    FoldResult,
    FoldsMade,
    FoldsRecord,
    RunRecord,
)
from audiomatch.report import write_report
from audiomatch.results import Comparison
from audiomatch.running.crossval import cross_validate, pooled_predictions
from audiomatch.running.folder import RunFolder
from audiomatch.running.jobs import Entrant
from audiomatch.scoring import build_leaderboard


def describe_data(intake: Intake, dataset: str, source: str, limit: int | None) -> DataRecord:
    """Return what the run keeps of its data."""
    return DataRecord(
        dataset=dataset,
        source=source,
        digest=data_digest(intake.clips),
        clips=len(intake.clips),
        seconds_of_audio=float(intake.clips.seconds.sum()),
        limit=limit,
        skipped=tuple(intake.skipped),
    )


def run_comparison(
    registry: Registry,
    entrants: Sequence[Entrant],
    folds: Folds,
    data: DataRecord,
    run: Run,
    path: Path,
    executor: Executor,
) -> Comparison:
    """Compare `entrants` on `folds` and write the run folder at `path`.

    `run.progress` shows each fold and names each plugin whose listener hook failed.
    """
    folder = RunFolder(path, run.progress.say)
    fold_of = dict(zip(folds.clips.ids, folds.of.tolist(), strict=True))
    made = FoldsMade(k=folds.k, group=folds.group, digest=folds.digest)
    FoldsRecord(folds=folds.k, group=folds.group, digest=folds.digest, fold_of=fold_of).write(
        path / "folds.json"
    )
    started = time.time()
    problems: list[str] = []

    def fold_done(result: FoldResult) -> None:
        run.progress.say(_line(result, folds.k))
        facts = {"matcher": result.matcher, "fold": result.fold, "result": result}
        problems.extend(registry.tell("audiomatch_fold_done", **facts))

    results = cross_validate(entrants, folds, run, folder, executor, fold_done)
    detailed = pooled_predictions(results, folds)
    predictions = detailed.drop(columns=["task", "grade", "expected_text"])
    folder.write_predictions(predictions)
    with run.progress.task("scoring", total=1, unit="tables") as task:
        leaderboard = build_leaderboard(detailed, results, seed=run.seed)
        task.advance()
    seconds = time.time() - started
    leaderboard.write(path / "leaderboard.json")
    problems += registry.tell("audiomatch_run_done", folder=path, leaderboard=leaderboard)
    record = RunRecord(
        data=data,
        folds=made,
        groups=len(set(folds.clips.groups)),
        seed=run.seed,
        device=run.device,
        precision=run.precision,
        workers=run.workers,
        versions=versions(),
        started=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        seconds=seconds,
        results=tuple(result.summary() for result in results),
        listener_errors=tuple(problems),
    )
    record.write(path / "run.json")
    write_report(path, leaderboard, detailed, record)
    for problem in problems:
        run.progress.say(problem)
    return Comparison(leaderboard, predictions, path, record)


def _line(result: FoldResult, k: int) -> str:
    head = f"{result.matcher} fold {result.fold + 1}/{k}: "
    if not result.done:
        return head + f"failed: {result.error}"
    seconds = f"{result.seconds:.1f} s"
    return head + (f"replayed ({seconds} then)" if result.replayed else seconds)
