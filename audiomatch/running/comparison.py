"""A comparison from folds to report: what `audiomatch bench` does once the data is open."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from audiomatch.errors import UserError
from audiomatch.folds import Folds
from audiomatch.matcher import Run
from audiomatch.plugins import Registry
from audiomatch.records import (
    DataRecord,
    FoldResult,
    FoldsMade,
    FoldsRecord,
    Leaderboard,
    RunRecord,
)
from audiomatch.report import write_report
from audiomatch.results import Comparison
from audiomatch.running.calibrating import with_calibrated
from audiomatch.running.crossval import cross_validate, pooled_predictions, splits_of
from audiomatch.running.entrants import ALL_FLOORS, enter_kept, with_kinds
from audiomatch.running.folder import RunFolder, only_writer
from audiomatch.running.jobs import Entrant
from audiomatch.running.provenance import provenance, seen_from
from audiomatch.running.splits import Split, smaller_splits, whole_splits
from audiomatch.scoring import MATTERS
from audiomatch.scoring.behaviours import behaviours_of
from audiomatch.scoring.clip_table import BY_GROUP, clusters_by
from audiomatch.scoring.comparisons import power_line, spread_between
from audiomatch.scoring.whole import of_first, whole_leaderboard

if TYPE_CHECKING:
    from audiomatch.probing.folds import FoldProbes


def run_comparison(
    registry: Registry,
    entrants: Sequence[Entrant],
    folds: Folds,
    data: Sequence[DataRecord],
    run: Run,
    path: Path,
    executor: Executor,
    only: int | None = None,
    *,
    train_sizes: Sequence[int] = (),
    repeats: int = 1,
    probes: FoldProbes | None = None,
    calibrate: bool = False,
    cluster: str = BY_GROUP,
    matters: float = MATTERS,
    asked: Mapping[str, Any],
) -> Comparison:
    """Compare `entrants` on `folds` and write the run folder at `path`.

    `data` is the record of the data, and of other data that are predicted where there are such.
    `run.progress` shows each fold and names each plugin whose listener hook failed. Other matchers
    of which the folder has all folds are in the tables too; floors by columns that the data do not
    have are left out. With `only` no other fold is computed, and the tables are written once the
    folder has all of them; the comparison returned is of what there is. With `calibrate` there are
    calibrated probabilities too, see `with_calibrated`. `train_sizes` are clips of each training
    part that matchers learn from too, see `smaller_splits`, and `repeats` is how often all is
    cross-validated. `probes` are planted in what the first time is held out. `cluster` and
    `matters` are as for `build_leaderboard`; `asked` are the arguments of `audiomatch.compare`, for
    the record. Raises `UserError` where the folder holds another design, another run writes it, or
    there is no such column or size.
    """
    columns = set(folds.clips.frame.columns)
    entrants = [e for e in entrants if e.kind == "matcher" or set(e.columns) <= columns]
    groups = _check_cluster(folds, cluster)
    whole = [
        split if split.repeat else replace(split, probes=probes)
        for split in whole_splits(folds, run.seed, repeats)
    ]
    smaller = smaller_splits(folds, train_sizes, run.seed)
    run.progress.say(_headline(entrants, folds, groups, run))
    if 0 in train_sizes:
        _say_not_ready(entrants, run)
    score = partial(whole_leaderboard, cluster=cluster, matters=matters, seed=run.seed)
    with only_writer(path, shared=only is not None):
        folder = RunFolder(path, run.progress.say)
        folder.claim(_record_of(folds))
        if only is None:
            spread = _known_spread(path, cluster)
            run.progress.say(power_line(groups, len(entrants), spread))
        return _compare(
            *(registry, entrants, folds, data, run, folder, executor, only, whole, smaller),
            *(probes, score, calibrate, asked or {}),
        )


def _headline(entrants: Sequence[Entrant], folds: Folds, groups: int, run: Run) -> str:
    """Return what is going to be compared: one line."""
    floors = [entrant.label for entrant in entrants if entrant.kind == "floor"]
    named = [entrant.label for entrant in entrants if entrant.kind != "floor"]
    clips = int((folds.of >= 0).sum())
    return (
        f"{clips:,} clips of {groups:,} groups, {folds.k} {'folds' if folds.k > 1 else 'split'}, "
        f"{run.device_list}: {', '.join(named)}{' and ' * bool(named)}floors {', '.join(floors)}"
    )


def _known_spread(path: Path, cluster: str) -> float | None:
    """Return how much matchers of the last run into this folder differ from group to group."""
    try:
        board = Leaderboard.read(path / "leaderboard.json")
    except UserError:
        return None
    return spread_between(board) if board.cluster == cluster else None


def _say_not_ready(entrants: Sequence[Entrant], run: Run) -> None:
    without = [e.label for e in entrants if e.kind == "matcher" and not e.ready and not e.skipped]
    if without:
        run.progress.say(
            f"--train-sizes 0: no point for {', '.join(without)}: no ready model is there"
        )


def _check_cluster(folds: Folds, cluster: str) -> int:
    """Return how many values `cluster` has among the clips held out, the least of its columns."""
    held_out = folds.clips.take(folds.of >= 0)
    frame = held_out.frame.assign(group=held_out.groups)
    names = cluster.split("+")
    if not set(names) <= set(frame.columns) - _NO_CLUSTER:
        known = ", ".join(name for name in map(str, frame.columns) if name not in _NO_CLUSTER)
        source = folds.clips.source
        raise UserError(f"--cluster {cluster}: {source} has no such column; there is: {known}")
    return clusters_by(frame, cluster).count


_NO_CLUSTER = {"id", "audio", "match", "matcher", "fold", "p_match", "p_calibrated"}


def _compare(
    registry: Registry,
    entrants: Sequence[Entrant],
    folds: Folds,
    data: Sequence[DataRecord],
    run: Run,
    folder: RunFolder,
    executor: Executor,
    only: int | None,
    whole: Sequence[Split],
    smaller: Sequence[Split],
    probes: FoldProbes | None,
    score: Callable[[pd.DataFrame, pd.DataFrame, Sequence[FoldResult]], Leaderboard],
    calibrate: bool,
    asked: Mapping[str, Any],
) -> Comparison:
    path, started = folder.path, time.time()
    problems = [] if probes is None else probes.problems

    def fold_done(result: FoldResult) -> None:
        result = apart(result)
        if result.status == "skipped":
            if result.fold == 0:
                run.progress.say(f"{result.matcher}: skipped: {result.error}")
            return
        run.progress.say(_line(result, folds.k))
        if not result.whole:
            return
        facts = {"matcher": result.matcher, "fold": result.fold, "result": result}
        problems.extend(registry.tell("audiomatch_fold_done", **facts))

    def apart(result: FoldResult) -> FoldResult:
        return result if probes is None else probes.apart(result)

    named = {entrant.label for entrant in entrants}
    kept = enter_kept(registry, folder.matchers() - named, executor, run.progress.say)
    every_kind = with_kinds([*entrants, *kept])
    entrants, kept = every_kind[: len(entrants)], every_kind[len(entrants) :]
    if asked.get("floors", ALL_FLOORS) != ALL_FLOORS:
        kept = [entrant for entrant in kept if entrant.kind != "floor"]
    work = entrants, folds, run, folder, executor, fold_done, only, kept, smaller, whole
    every = cross_validate(*work)
    results = [apart(result) for result in every]
    if calibrate:
        results = with_calibrated(results, entrants, kept, whole, run, folder, executor, only)
    detailed = pooled_predictions([result for result in results if result.whole], folds)
    less = pooled_predictions([result for result in results if not result.whole], folds)
    with run.progress.task("scoring", total=1, unit="tables") as task:
        leaderboard = score(detailed, less, results)
        planted = None if probes is None else probes.predictions(every)
        if planted is not None:
            leaderboard = leaderboard.model_copy(update={"behaviours": behaviours_of(planted)})
        task.advance()
    seconds = time.time() - started
    own = sum(result.matcher in named for result in results)
    complete = only is None or own == sum(len(splits_of(e, whole, smaller)) for e in entrants)
    if complete:
        folder.write_predictions(detailed, less, planted)
        leaderboard.write(path / "leaderboard.json")
    data = [one.model_copy(update={"beside": seen_from(path, one.source)}) for one in data]
    record = RunRecord(
        data=data[0],
        test=data[1] if len(data) > 1 else None,
        working_folder=seen_from(path, str(Path.cwd())),
        folds=FoldsMade(
            k=folds.k,
            group=folds.group,
            digest=folds.digest,
            split=folds.fixed,
            warning=folds.warning,
            negatives=folds.negatives,
            skipped=folds.skipped,
        ),
        groups=len(set(folds.clips.groups)),
        seed=run.seed,
        device=run.device_list,
        precision=run.precision,
        workers=run.workers,
        **provenance(asked, [one.plugin.module for one in (*entrants, *kept)]),
        started=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        seconds=seconds,
        results=tuple(result.summary() for result in results),
        listener_errors=tuple(problems),
    )
    if complete:
        record.write(path / "run.json")
        write_report(path, leaderboard, of_first(detailed), record, folds.clips)
        record = _told(registry, path, leaderboard, record)
    for problem in record.listener_errors:
        run.progress.say(problem)
    lines = {
        "skipped": (*(line for one in data for line in one.skipped), *folds.skipped),
        "warnings": tuple(line for one in data for line in one.warnings),
    }
    return Comparison(leaderboard, detailed, path, record, **lines)


def _told(registry: Registry, path: Path, leaderboard: Leaderboard, record: RunRecord) -> RunRecord:
    """Tell listeners of the run; return its record with what went wrong."""
    failed = registry.tell("audiomatch_run_done", folder=path, leaderboard=leaderboard)
    if failed:
        every = (*record.listener_errors, *failed)
        record = record.model_copy(update={"listener_errors": every})
        record.write(path / "run.json")
    return record


def _record_of(folds: Folds) -> FoldsRecord:
    ids = folds.clips.ids
    made = {} if folds.made is None else dict(zip(ids, folds.made.tolist(), strict=True))
    return FoldsRecord(
        folds=folds.k,
        group=folds.group,
        digest=folds.digest,
        split=folds.fixed,
        negatives=folds.negatives,
        made={name: kind for name, kind in made.items() if kind},
        fold_of=dict(zip(ids, folds.of.tolist(), strict=True)),
    )


def _line(result: FoldResult, k: int) -> str:
    head = f"{result.matcher} fold {result.fold + 1}/{k}{result.which}: "
    if not result.done:
        return head + f"failed: {result.error}"
    seconds = f"{result.seconds:.1f} s"
    return head + (f"replayed ({seconds} then)" if result.replayed else seconds)
