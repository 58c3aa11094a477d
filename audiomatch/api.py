"""What notebooks import from `audiomatch`, and the commands call.

Errors are `audiomatch.UserError`s of one line, in the words of the command line: `--skip-bad` is
the argument `skip_bad`. Nothing is printed, unless `progress` is True.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from audiomatch import plugins
from audiomatch.caller import caller_state
from audiomatch.datasets import input_paths
from audiomatch.files import Place, check_not_input, user_path
from audiomatch.fitted import Model, load
from audiomatch.fitting import fit
from audiomatch.folds import BY_TEXT, group_clips
from audiomatch.inputs import Data
from audiomatch.intake import data_digest
from audiomatch.machine import make_run
from audiomatch.matcher import Precision
from audiomatch.negatives import parse_kinds
from audiomatch.progress import Progress
from audiomatch.records import FoldSummary
from audiomatch.relabelling import read_labels
from audiomatch.results import Comparison, Evaluation
from audiomatch.running.design import FOLDS, Design, Reading
from audiomatch.spec import MatcherSpec, parse_matcher, parse_matchers

__all__ = ["Comparison", "Evaluation", "Model", "compare", "evaluate", "fit", "load"]


def compare(
    data: Data | None,
    matchers: str | Sequence[str | MatcherSpec],
    *,
    folds: int = FOLDS,
    group: str = BY_TEXT,
    negatives: str | Sequence[str] | None = None,
    split: str | None = None,
    test: Data | None = None,
    train_sizes: str | Sequence[int] = (),
    repeats: int = 1,
    probe: bool = False,
    calibrate: bool = False,
    fold: int | None = None,
    floors: str = "all",
    out: Place | None = None,
    dataset: str | None = None,
    columns: Mapping[str, str] | None = None,
    labels: Place | None = None,
    limit: int | None = None,
    skip_bad: bool = False,
    device: str = "auto",
    precision: Precision = "auto",
    seed: int = 0,
    workers: int | None = None,
    cache: Place | None = None,
    progress: bool | Progress = False,
    strict: bool = False,
    allow: Sequence[str] = (),
    executor: str = "process",
    cluster: str = "group",
    matters: float = 0.005,
) -> Comparison:
    """Compare matchers on the same folds by cross-validation, the floors beside them.

    A fold that fails does not stop the others: see `Comparison.problems`. What is finished is kept
    in the run folder, and the same call goes on from there.

    Args:
        data: a manifest or folder as on the command line, or the name of a dataset that ships, as
            `mini-screener`; a data frame with the columns `audio` (paths), `expected_text`,
            `match`, and any more; `Clips`; or clips in memory, each (samples, rate, text, match).
        matchers: their names as on the command line, `NAME[:PRESET][@key=value]…`.
        folds: how many.
        group: clips alike in this column (`a+b`: in either), or in recording, share a fold; `none`.
        negatives: mismatches to make of data that are matches alone, one of each: `swap` (another
            clip's text), `replace`, `insert`, `delete` (a word), `sound` (a letter), `edit` (one of
            these four), `truncate`, `extend`, `transpose`; see `audiomatch.negatives`.
        split: a column, in the place of folds: fit where it is `train`, predict where it is `test`.
        test: data to predict by matchers fitted on all of `data`, in the place of folds.
        train_sizes: learn from so many clips of each training part too; 0 stands for ready models.
        repeats: cross-validate so often, from other training seeds, every two on other folds.
        probe: plant answers in held-out matches, see `Leaderboard.behaviours` and `probe`.
        calibrate: learn from inner folds of each training part whether a matcher's probabilities
            want calibrating, and score them so too: three fits more a fold.
        fold: the one to compute, from 1; the tables are written by the call that finds all there.
        floors: to show beside them: `all`, `none`, or names with commas between; `untrained` is
            each matcher without its training, where its plugin says what that is.
        out: the run folder, else `runs/NAME-OF-DATA`.
        dataset: the layout of a path, else told by the path.
        columns: which columns of the data are ours, as in `{"audio": "path", "match": "label"}`.
        labels: a table of corrected labels (`id`, `match`), in the place of those of the data.
        limit: draw that many clips by the seed.
        skip_bad: go on without clips that cannot be used.
        device: as `load` takes it, or several, which compute a fold each at the same time:
            `cuda:0,cuda:1`, or `cpu*2` for two processes on the CPU.
        precision: likewise.
        seed: likewise; it also decides the folds.
        workers: likewise.
        cache: likewise.
        progress: whether to show how far the work has come.
        strict: stop at a matcher whose weights, packages or values cannot be had, which is else
            skipped where another one can.
        allow: errors of the audit (`audiomatch.audit`) in spite of which to go on, by their ids.
        executor: what computes the folds, `NAME[@key=value]…`; the numbers are the same under each.
        cluster: the column whose values intervals are over, `a+b` for two that cross; else groups.
        matters: nats of log loss; matchers that differ by less are called equivalent.

    Raises:
        UserError: what was given cannot be used, before any work is done.
    """
    asked = dict(locals())
    from audiomatch.auditing.gate import audited, check_allowed
    from audiomatch.further import keep_apart
    from audiomatch.probing.folds import plant_in_folds
    from audiomatch.running.comparison import run_comparison
    from audiomatch.running.devices import DevicesExecutor
    from audiomatch.running.entrants import enter, refusals
    from audiomatch.running.executors import gpus_of, make_executor
    from audiomatch.running.folder import check_run_folder, default_folder
    from audiomatch.running.splits import parse_train_sizes

    specs = parse_matchers(matchers if isinstance(matchers, str) else ",".join(map(str, matchers)))
    design = Design(folds, group, parse_kinds(negatives), split, test)
    design.check_fold(fold)
    check_allowed(allow)
    place = default_folder(data, dataset) if out is None else user_path(out)
    if place is not None:
        check_run_folder(place)
        if isinstance(data, str | os.PathLike):
            paths = input_paths(plugins.registry().datasets(), os.fspath(data), dataset)
            check_not_input(place, paths, "--out")
    pool = make_executor(executor, plugins.registry().executors())
    with ExitStack() as stack:
        stack.enter_context(pool)
        stack.enter_context(caller_state())
        how = device, precision, seed, workers, cache, progress, gpus_of(pool)
        run = make_run(*how, several=True)
        if run.devices:
            pool = stack.enter_context(DevicesExecutor(pool, run))
        entrants = enter(plugins.registry(), specs, pool, strict=strict, floors=floors)
        refuses = partial(refusals, pool, entrants, run)
        reading = Reading(columns, limit, skip_bad, refuses, read_labels(labels))
        made, records = design.open(data, run, reading, dataset)
        if place is None:
            place = Path("runs") / f"{records[0].dataset}-{records[0].digest[:8]}"
            check_run_folder(place)
        further = [d for entrant in entrants for d in entrant.further_data]
        keep_apart(further, made.clips.take(made.of >= 0), run)
        made = audited(made, run, [name for one in entrants for name in one.given], allow)
        return run_comparison(
            *(plugins.registry(), entrants, made, records, run, place, pool, fold and fold - 1),
            train_sizes=parse_train_sizes(train_sizes),
            repeats=repeats,
            probes=plant_in_folds(made, run, refuses) if probe else None,
            calibrate=calibrate,
            cluster=cluster,
            matters=matters,
            asked=asked,
        )


def evaluate(
    model: Model | Place,
    data: Data | None,
    *,
    group: str = BY_TEXT,
    dataset: str | None = None,
    columns: Mapping[str, str] | None = None,
    limit: int | None = None,
    skip_bad: bool = False,
) -> Evaluation:
    """Score a fitted model on labelled data, with the figures of a leaderboard.

    Args:
        model: a model, or the folder of a saved one.
        data: what `compare` takes, with labels; for an honest figure no clip that the model
            learned from.
        group: the column whose values are resampled together for the intervals.
        dataset: the layout of a path, else told by the path.
        columns: which columns of the data are ours, as in `{"audio": "path", "match": "label"}`.
        limit: draw that many clips by the model's seed.
        skip_bad: go on without clips that cannot be used.

    Raises:
        UserError: the model or the data cannot be used.
    """
    from audiomatch.scoring import build_leaderboard

    model = model if isinstance(model, Model) else load(model)
    card, run = model.card, model.run
    with caller_state():
        intake, _ = model.take_in(
            data,
            labelled=True,
            dataset=dataset,
            columns=columns,
            skip_bad=skip_bad,
            limit=limit,
        )
    clips = group_clips(intake.clips, group)
    started = time.perf_counter()
    p_match = model.predict(clips)
    fitted_on = card.fit is not None and card.fit.data_digest == data_digest(intake.clips)
    result = FoldSummary(
        matcher=model.name,
        kind=plugins.registry().offer(parse_matcher(card.matcher)).info.kind,
        fold=0,
        status="done",
        config=card.config,
        plugin=card.plugin.distribution,
        version=card.plugin.version,
        clips_fit=card.fit.clips if card.fit else 0,
        clips_predict=len(clips),
        seconds_fit=card.fit.seconds if card.fit else 0.0,
        seconds_predict=time.perf_counter() - started,
        notes={"warning": "these are the clips that it was fitted on"} if fitted_on else {},
    )
    frame = clips.frame[["id", "match", "task", "grade"]].reset_index(drop=True)
    table = frame.assign(matcher=model.name, fold=0, group=clips.groups, p_match=p_match)
    leaderboard = build_leaderboard(table, [result], seed=run.seed)
    predictions = table[["id", "matcher", "group", "match", "p_match"]]
    lines = {"skipped": tuple(map(str, intake.skipped)), "warnings": tuple(intake.warnings)}
    return Evaluation(leaderboard, predictions, **lines)
