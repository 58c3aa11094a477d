"""Cross-validation: every matcher on the same folds, each fold kept as soon as it is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, as_completed
from dataclasses import replace

import pandas as pd

from audiomatch.folds import Folds
from audiomatch.matcher import Run
from audiomatch.progress import QuietProgress
from audiomatch.records import FoldResult
from audiomatch.running.folder import FoldKey, RunFolder
from audiomatch.running.jobs import Entrant, Job, run_job
from audiomatch.running.splits import Split, whole_splits


def cross_validate(
    entrants: Sequence[Entrant],
    folds: Folds,
    run: Run,
    folder: RunFolder,
    executor: Executor,
    fold_done: Callable[[FoldResult], None] | None = None,
    only: int | None = None,
    kept: Sequence[Entrant] = (),
    smaller: Sequence[Split] = (),
    whole: Sequence[Split] = (),
) -> list[FoldResult]:
    """Fit and predict every fold of every matcher; return one result for each, in order.

    A finished fold found in `folder` is replayed; the others become jobs that `executor` runs. A
    job that fails becomes a failed result, and the others go on; an interrupt stops all, with
    every finished fold kept. `fold_done` hears each result as it comes. Of other folds than `only`
    none is computed, and those are returned that the folder has when that one is done. Nor are
    folds of `kept` matchers computed: one that has not all of its folds in the folder is left out.
    Of a matcher that is skipped all folds are. The splits of `smaller` training parts are computed
    beside the folds; the one of no clips for matchers with a ready model. `whole` are
    the folds of several repeats, where there are several.
    """
    work = _Work(folder, executor, run, fold_done)
    whole = whole or whole_splits(folds, run.seed)
    try:
        for entrant in entrants:
            splits = splits_of(entrant, whole, smaller)
            every = entrant.skipped or only is None
            work.enter(entrant, [split for split in splits if every or split.fold == only])
        work.wait()
        for entrant in [entrant for entrant in entrants if not entrant.skipped]:
            for split in splits_of(entrant, whole, smaller):
                if only not in (None, split.fold):
                    work.replay(entrant, [split])
        for entrant in kept:
            if work.replay(entrant, whole):
                for split in splits_of(entrant, [], smaller):
                    work.replay(entrant, [split])
            else:
                run.progress.say(
                    f"{entrant.label} is left out of the table: not all of its folds are there as "
                    "this code, seed and device make them"
                )
    except BaseException:
        executor.shutdown(wait=False, cancel_futures=True)
        raise
    order = [
        (entrant.label, *split.place)
        for entrant in (*entrants, *kept)
        for split in splits_of(entrant, whole, smaller)
    ]
    return [work.results[place] for place in order if place in work.results]


def splits_of(entrant: Entrant, whole: Sequence[Split], smaller: Sequence[Split]) -> list[Split]:
    """Return the splits that a matcher has: of no clips only with a ready model."""
    if entrant.skipped:
        return list(whole)
    return [*whole, *(split for split in smaller if split.train_size or entrant.ready)]


class _Work:
    """The jobs that were begun, and the results that are known."""

    def __init__(
        self,
        folder: RunFolder,
        executor: Executor,
        run: Run,
        fold_done: Callable[[FoldResult], None] | None,
    ) -> None:
        self.results: dict[tuple[str, int, int, int], FoldResult] = {}
        self._waiting: dict[Future[FoldResult], tuple[Job, FoldKey, Split]] = {}
        self._side_by_side: set[Future[FoldResult]] = set()
        self._folder, self._executor, self._progress = folder, executor, run.progress
        self._settings = replace(run, progress=QuietProgress(), notes={})
        self._fold_done = fold_done

    def enter(self, entrant: Entrant, splits: Sequence[Split]) -> None:
        """Replay the splits of a matcher, or have them computed; of one that is skipped all are."""
        if entrant.skipped:
            for split in splits:
                self._finish(self._job(entrant, split)[0].skipped())
            return
        with self._progress.task(entrant.label, total=len(splits), unit="folds") as task:
            for split in splits:
                self._begin(*self._job(entrant, split), split)
                task.advance()

    def replay(self, entrant: Entrant, splits: Sequence[Split]) -> bool:
        """Take the splits from the folder where it has all; return whether it has."""
        jobs = [self._job(entrant, split) for split in splits]
        found = [self._folder.replay(key, job.held_out) for job, key in jobs]
        kept = [result for result in found if result is not None]
        if len(kept) == len(jobs):
            for result, (job, _) in zip(kept, jobs, strict=True):
                self._finish(result.model_copy(update=job.place))
        return len(kept) == len(jobs)

    def _job(self, entrant: Entrant, split: Split) -> tuple[Job, FoldKey]:
        settings = replace(self._settings, seed=split.seed)
        job = Job(entrant, split.fold, *split.parts, settings, split.train_size, split.repeat)
        return job, _key(job, *split.digests)

    def _begin(self, job: Job, key: FoldKey, split: Split) -> None:
        found = self._folder.replay(key, job.held_out)
        if found is None:
            self._waiting[self._submit(job)] = job, key, split
        else:
            self._finish(found.model_copy(update=job.place))
        under_way = [future for future in self._waiting if not future.done()]
        if len(under_way) > 1:
            self._side_by_side.update(under_way)
        for future in [future for future in self._waiting if future.done()]:
            self._gather(future)

    def wait(self) -> None:
        """Gather the rest as it ends; progress is of the whole, in clips learned and predicted."""
        if not self._waiting:
            return
        sizes = {
            future: len(job.train) + len(job.held_out)
            for future, (job, *_) in self._waiting.items()
        }
        with self._progress.task("whole run", total=sum(sizes.values())) as task:
            for future in as_completed(sizes):
                self._gather(future)
                task.advance(sizes[future])

    def _submit(self, job: Job) -> Future[FoldResult]:
        try:
            return self._executor.submit(run_job, job, self._progress)
        except Exception as error:  # noqa: BLE001 - a job that is refused is one that failed
            refused: Future[FoldResult] = Future()
            refused.set_exception(error)
            return refused

    def _gather(self, future: Future[FoldResult]) -> None:
        job, key, split = self._waiting.pop(future)
        try:
            result = future.result()
        except Exception as error:  # noqa: BLE001 - whatever an executor lost it by
            result = job.failed(error)
        if future in self._side_by_side:
            result = result.model_copy(update={"side_by_side": True})
        if result.done:
            self._folder.keep(key, result)
        if result.done and split.probes is not None:  # of use to a run without them, too
            plain = self._job(job.entrant, replace(split, probes=None))[1]
            self._folder.keep(plain, split.probes.apart(result))
        self._finish(result)

    def _finish(self, result: FoldResult) -> None:
        """Note a result, and tell of it."""
        place = result.repeat, result.train_size, result.fold
        self.results[result.matcher, *place] = result
        if self._fold_done:
            self._fold_done(result)


def _key(job: Job, train: str, held_out: str) -> FoldKey:
    return FoldKey(
        matcher=job.entrant.label,
        fold=job.fold,
        train=train,
        held_out=held_out,
        config=job.entrant.config,
        plugin=job.entrant.plugin,
        fingerprint=job.entrant.fingerprint,
        seed=job.run.seed,
        device=job.run.device,
        precision=job.run.precision,
    )


def pooled_predictions(results: Sequence[FoldResult], folds: Folds) -> pd.DataFrame:
    """Return the held-out predictions of all finished folds, with what is known of the clips.

    Columns: id, matcher, fold, group, match, p_match, expected_text, negative, task, grade, and
    further ones of the data, as text; repeat where there are several, train_size where less
    than whole training parts were learned from, and p_calibrated where that was asked for.
    """
    further_facts = [] if all(result.whole for result in results) else ["train_size"]
    further_facts += ["repeat"] if any(result.repeat for result in results) else []
    further_facts += ["p_calibrated"] if any(result.p_calibrated for result in results) else []
    own = ("id", "matcher", "fold", "p_match", "p_calibrated")
    of_clip = ["group", "match", "expected_text", "negative", "task", "grade"]
    made = "" if folds.made is None else folds.made
    frame = folds.clips.frame.assign(group=folds.clips.groups, negative=made)
    further = [name for name in frame.columns if name not in {*own, *of_clip, "audio"}]
    frame = frame.astype(dict.fromkeys(further, "string"))
    of_clip += further
    facts = frame.set_index("id")[of_clip]
    parts = [
        pd.DataFrame(
            {
                "id": result.ids,
                "matcher": result.matcher,
                "fold": result.fold,
                "p_match": result.p_match,
                **{name: getattr(result, name) for name in further_facts},
            }
        )
        for result in results
        if result.done
    ]
    columns = ["id", "matcher", *further_facts, "fold", "group", "match", "p_match", *of_clip[2:]]
    if not parts:
        return pd.DataFrame(columns=columns)
    return pd.concat(parts, ignore_index=True).join(facts, on="id")[columns]
