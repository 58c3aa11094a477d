"""From labelled clips to a fitted model: what `audiomatch.fit` does."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from audiomatch import plugins
from audiomatch.caller import caller_state
from audiomatch.clips import Clips
from audiomatch.contract import check_fits_on, fit_matcher, predict_matches, refused_clips
from audiomatch.files import Place
from audiomatch.fitted import Model
from audiomatch.folds import BY_TEXT
from audiomatch.held_out import held_out_predictions
from audiomatch.inputs import Data
from audiomatch.machine import make_run
from audiomatch.matcher import Matcher, Precision, Run
from audiomatch.model import card_of
from audiomatch.negatives import parse_kinds
from audiomatch.progress import Progress
from audiomatch.records import CalibrationRecord, FitRecord, Thresholds
from audiomatch.running.design import Design, Reading
from audiomatch.spec import MatcherSpec, parse_matcher
from audiomatch.verdicts import LISTEN_COST, thresholds, thresholds_at_precision

_SAMPLE = 100  # clips by which is told whether a model learned anything


def fit(
    matcher: str | MatcherSpec,
    data: Data | None,
    *,
    group: str = BY_TEXT,
    negatives: str | Sequence[str] | None = None,
    split: str | None = None,
    dataset: str | None = None,
    columns: Mapping[str, str] | None = None,
    limit: int | None = None,
    skip_bad: bool = False,
    listen_cost: float = LISTEN_COST,
    target_precision: float | None = None,
    calibrate: bool = False,
    device: str = "auto",
    precision: Precision = "auto",
    seed: int = 0,
    workers: int | None = None,
    cache: Place | None = None,
    progress: bool | Progress = False,
) -> Model:
    """Fit a matcher on all of the data; raises `UserError`.

    Args:
        matcher: as on the command line, `NAME[:PRESET][@key=value]…`.
        data: what `compare` takes, with labels.
        group: the column whose values are kept together where the matcher splits the data for
            calibration or validation; `none` for none.
        negatives: mismatches to make of data that are matches alone, as `compare` takes it.
        split: a column; fit on the rows where it is `train`, and leave out the others.
        dataset: the layout of a path, else told by the path.
        columns: which columns of the data are ours, as in `{"audio": "path", "match": "label"}`.
        limit: draw that many clips by the seed.
        skip_bad: go on without clips that cannot be used.
        listen_cost: cost of listening to a clip, where a wrong verdict costs 1.
        target_precision: in its place the share of each verdict that is to be right, by which
            clips of the data decide that are held out in turn: three fits more.
        calibrate: learn from clips held out in turn whether the probabilities want calibrating,
            and how: three fits more, the same for both.
        device: as `load` takes it, and so are all that follow; or several, as `compare` takes them,
            where the matcher shares its work out, as those on torch do.
        precision: as above.
        seed: as above.
        workers: as above.
        cache: as above.
        progress: as above.
    """
    spec = parse_matcher(matcher) if isinstance(matcher, str) else matcher
    at = thresholds(listen_cost, target_precision)
    made = plugins.registry().create(spec)
    design = Design(group=group, negatives=parse_kinds(negatives), split=split)
    run = make_run(device, precision, seed, workers, cache, progress, several=True)
    check_fits_on(made, run, str(spec))
    with caller_state():
        refuses = partial(refused_clips, made, run=run)
        reading = Reading(columns=columns, limit=limit, skip_bad=skip_bad, refuses=refuses)
        clips, opened = design.take(data, run, reading, dataset)
        train, skipped = design.training_part(clips, run, reading)
        calibration = None
        if calibrate or target_precision is not None:
            make = partial(plugins.registry().create, spec)
            calibration, at = _by_held_out(make, train, run, calibrate, target_precision, at)
        started = time.perf_counter()
        fit_matcher(made, train, run)
    record = FitRecord(
        clips=len(train),
        match_rate=float(train.labels.mean()),
        skipped=(*opened.skipped, *skipped),
        warnings=opened.warnings,
        data_digest=opened.digest,
        group=group,
        split=split,
        negatives=design.negatives,
        seed=run.seed,
        device=run.device_list,
        precision=run.precision,
        seconds=time.perf_counter() - started,
        notes=run.notes,
    )
    offer = plugins.registry().offer(spec)
    model = Model(made, card_of(spec, offer, made, record, at, calibration), run)
    some = np.sort(np.random.default_rng(run.seed).permutation(len(train))[:_SAMPLE])
    model.sample = train.take(some).unlabelled()
    return model


def _by_held_out(
    make: Callable[[], Matcher],
    train: Clips,
    run: Run,
    calibrate: bool,
    precision: float | None,
    at: Thresholds,
) -> tuple[CalibrationRecord | None, Thresholds]:
    """Return the calibration and the thresholds that clips of `train` decide, held out in turn.

    They are predicted by matchers that `make` gives, each fitted on the rest. The calibration is
    None unless `calibrate`; the thresholds are `at` without a wanted `precision`, and of calibrated
    probabilities. Raises `UserError` where a rest has matches or mismatches alone.
    """
    from audiomatch.recalibration import INNER_FOLDS, fit_calibration, without_own

    def predict(rest: Clips, held_out: Clips) -> NDArray[np.float64]:
        matcher, own = make(), replace(run, notes={})
        fit_matcher(matcher, rest, own)
        return predict_matches(matcher, held_out, own)

    p_match, folds = held_out_predictions(predict, train, INNER_FOLDS, run)
    found = fit_calibration(p_match, train, folds, run.seed) if calibrate else None
    if precision is not None:
        p_match = without_own(p_match, train, found, run.seed)
        at = thresholds_at_precision(p_match, train.labels, precision, folds)
    return found, at
