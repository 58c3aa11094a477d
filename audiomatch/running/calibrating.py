"""Calibrated probabilities beside those of each fold, by inner folds of its training part."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from audiomatch.clips import Clips
from audiomatch.folds import Folds, inner_folds
from audiomatch.matcher import Run
from audiomatch.progress import QuietProgress
from audiomatch.recalibration import INNER_FOLDS, calibrated, fit_calibration
from audiomatch.records import FoldResult
from audiomatch.running.crossval import cross_validate
from audiomatch.running.folder import RunFolder
from audiomatch.running.jobs import Entrant
from audiomatch.running.splits import Split

_QUIET = QuietProgress()


def with_calibrated(
    results: Sequence[FoldResult],
    entrants: Sequence[Entrant],
    kept: Sequence[Entrant],
    splits: Sequence[Split],
    run: Run,
    folder: RunFolder,
    executor: Executor,
    only: int | None = None,
) -> list[FoldResult]:
    """Return the results, those of matchers with calibrated probabilities where they can be had.

    The inner folds of each training part are folds like any others: `executor` computes them, and
    `folder` keeps and replays each. Those of other folds than `only`, and of `kept` matchers, are
    replayed alone. Where one fails, the fold stays as it is, and says why.
    """
    found = list(results)
    for split in splits:
        places = {
            result.matcher: place
            for place, result in enumerate(results)
            if (result.repeat, result.train_size, result.fold) == split.place
            and result.done
            and result.kind == "matcher"
        }
        train, held_out = split.folds.split(split.fold)
        inner = _inner(train, split)
        own_run = replace(run, seed=split.seed)
        known = [entrant for entrant in (*entrants, *kept) if entrant.label in places]
        asked = [one for one in known if one in entrants and only in (None, split.fold)]
        again = f" of repeat {split.repeat + 1}" if split.repeat else ""
        who = f"fold {split.fold + 1}/{split.folds.k}{again}"

        def tell(result: FoldResult, who: str = who, k: int = inner.k) -> None:
            said = f"{result.seconds:.1f} s" if result.done else f"failed: {result.error}"
            run.progress.say(f"{result.matcher} {who}, inner fold {result.fold + 1}/{k}: {said}")

        of_inner = cross_validate(asked, inner, own_run, folder, executor, tell)
        quiet, others = replace(own_run, progress=_QUIET), [e for e in known if e not in asked]
        of_inner += cross_validate([], inner, quiet, folder, executor, kept=others)
        for name, place in places.items():
            own = [result for result in of_inner if result.matcher == name and result.done]
            if len(own) == inner.k:
                found[place] = _calibrated(results[place], own, train, held_out, split.seed)
            elif name in [one.label for one in asked]:
                why = _failure([one for one in of_inner if one.matcher == name], inner.k)
                run.progress.say(f"{name} {who}: not calibrated: {why}")
                found[place] = results[place].model_copy(update={"uncalibrated": why})
    return found


def _failure(results: Sequence[FoldResult], k: int) -> str:
    one = next(result for result in results if not result.done)
    return f"inner fold {one.fold + 1}/{k} failed: {one.error}"


def _inner(train: Clips, split: Split) -> Folds:
    of = np.empty(len(train), np.int64)
    pairs = inner_folds(train, INNER_FOLDS, split.seed)
    for number, (_, held_out) in enumerate(pairs):
        of[held_out] = number
    return Folds(train, of, len(pairs), split.folds.group)


def _calibrated(
    result: FoldResult, inner: Sequence[FoldResult], train: Clips, held_out: Clips, seed: int
) -> FoldResult:
    known = {name: p for one in inner for name, p in zip(one.ids, one.p_match, strict=True)}
    learned_from: NDArray[np.float64] = np.array([known[name] for name in train.ids])
    record = fit_calibration(learned_from, train, len(inner), seed)
    p_match = calibrated(np.array(result.p_match), held_out, record)
    return result.model_copy(
        update={"calibration": record, "p_calibrated": tuple(p_match.tolist())}
    )
