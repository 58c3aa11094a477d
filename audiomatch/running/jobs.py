"""A job is one fold of one matcher as data, which can be sent anywhere; `run_job` runs it."""

from __future__ import annotations

import gc
import json
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiomatch import plugins
from audiomatch.clips import Clips
from audiomatch.contract import fit_matcher, predict_matches
from audiomatch.cost import FeatureSeconds
from audiomatch.errors import PluginError, UserError
from audiomatch.hookspecs import DISTRIBUTION
from audiomatch.matcher import Kind, Matcher, Run
from audiomatch.memory import PeakMemory, base_memory_mb
from audiomatch.model import load_model
from audiomatch.offers import Plugin
from audiomatch.progress import Progress, QuietProgress
from audiomatch.records import ALL, FoldResult
from audiomatch.spec import READY, MatcherSpec


@dataclass(frozen=True)
class Entrant:
    """A matcher that takes part, checked and ready before any work starts.

    Attributes:
        spec: which matcher, as the user named it.
        kind: `matcher` or `floor`.
        plugin: what offers it.
        config: every option with its value.
        fingerprint: what `Matcher.fingerprint` gave.
        further_data: what `Matcher.further_data` gave.
        may_refuse: whether `Matcher.refuses` is to be asked.
        columns: which columns of the data it is given beside those that every clip has.
        ready: whether its plugin carries a fitted model.
        untrained: the label of the floor that is this matcher without training; empty for none.
        fault: why the plugin's code gave no matcher to take part; empty where it did.
        skipped: why it cannot be had as it was asked for, and takes no part; empty where it can.
    """

    spec: MatcherSpec
    kind: Kind
    plugin: Plugin
    config: Mapping[str, Any] = field(default_factory=dict)
    fingerprint: Mapping[str, str] = field(default_factory=dict)
    further_data: tuple[str, ...] = ()
    may_refuse: bool = False
    columns: tuple[str, ...] = ()
    ready: bool = False
    untrained: str = ""
    fault: str = ""
    skipped: str = ""

    @property
    def label(self) -> str:
        """The matcher's name in results."""
        return str(self.spec)

    @property
    def given(self) -> tuple[str, ...]:
        """What columns would help it to cheat: a floor is there to show what they tell."""
        return () if self.kind == "floor" else self.columns

    @property
    def worker(self) -> str:
        """Names the process that its jobs may share with others; the core's floors have one."""
        own = self.kind == "floor" and self.plugin.distribution == DISTRIBUTION
        return f"floors of {DISTRIBUTION}" if own else self.label


@dataclass(frozen=True, eq=False)
class Job:
    """A fold of a matcher to be computed. Data alone: it can be pickled and sent anywhere.

    Attributes:
        entrant: the matcher, with its config.
        fold: which fold is held out.
        train: the training part, with labels.
        held_out: the held-out part, without labels.
        run: cache, device, precision, seed and workers.
        train_size: how many clips `train` was to have; of `ALL` it is the whole training part, and
            with 0 the model that the plugin carries predicts.
        repeat: of the cross-validation.
    """

    entrant: Entrant
    fold: int
    train: Clips
    held_out: Clips
    run: Run
    train_size: int = ALL
    repeat: int = 0

    @property
    def name(self) -> str:
        """What it is called where several are shown."""
        return f"{self.entrant.label} fold {self.fold + 1}"

    @property
    def place(self) -> dict[str, Any]:
        """The fields of a result that say what it is in this comparison, whatever it was before."""
        return {
            "matcher": self.entrant.label,
            "kind": self.entrant.kind,
            "untrained": self.entrant.untrained,
            "fold": self.fold,
            "train_size": self.train_size,
            "repeat": self.repeat,
        }

    @property
    def worker(self) -> str:
        """What `Entrant.worker` is."""
        return self.entrant.worker

    def failed(self, error: BaseException, notes: Mapping[str, Any] | None = None) -> FoldResult:
        """Return the result of a job that ended in `error`."""
        message = " ".join(str(error).split())
        known = isinstance(error, UserError) and message
        return self._result(
            status="failed",
            error=message if known else f"{type(error).__name__}: {message}",
            traceback="".join(traceback.format_exception(error)),
            notes=_as_read({k: v for k, v in (notes or {}).items() if _is_json(v)}),
        )

    def skipped(self) -> FoldResult:
        """Return the result of a job of a matcher that takes no part."""
        return self._result(status="skipped", error=" ".join(self.entrant.skipped.split()))

    def done(
        self, p_match: NDArray[np.float64], notes: Mapping[str, Any], **cost: Any
    ) -> FoldResult:
        """Return the result of a job that gave these predictions. Raises `UserError`."""
        for name, value in notes.items():
            if not _is_json(value):
                raise UserError(f"the note {name!r} is no JSON: {value!r}")
        return self._result(
            status="done",
            ids=tuple(self.held_out.ids),
            p_match=tuple(p_match.tolist()),
            notes=_as_read(notes),
            **cost,
        )

    def _result(self, **outcome: Any) -> FoldResult:
        return FoldResult(
            **self.place,
            config=dict(self.entrant.config),
            plugin=self.entrant.plugin.distribution,
            version=self.entrant.plugin.version,
            fingerprint=dict(self.entrant.fingerprint),
            clips_fit=len(self.train),
            clips_predict=len(self.held_out),
            **outcome,
        )


def run_job(job: Job, progress: Progress | None = None) -> FoldResult:
    """Fit the job's matcher on the training part and predict the held-out part.

    Whatever the matcher raises, but for an interrupt, becomes a failed result.
    """
    features = FeatureSeconds()
    shown = progress or QuietProgress()
    run = replace(job.run, progress=shown, notes={}, feature_seconds=features)
    gc.collect()
    try:
        if job.entrant.fault:
            raise PluginError(job.entrant.fault)
        clock = features.core.clock
        start = clock()
        matcher = plugins.registry().create(job.entrant.spec)
        base = base_memory_mb()  # with the matcher's code, before its first fold
        with PeakMemory() as peak:
            matcher = _fitted(matcher, job, run)
            fitted = clock()
            p_match = predict_matches(matcher, job.held_out, run)
            predicted = clock()
        return job.done(
            p_match,
            run.notes,
            seconds_fit=fitted - start,
            seconds_predict=predicted - fitted,
            seconds_features=features.computed,
            seconds_cached=features.cached,
            base_memory_mb=base,
            peak_memory_mb=peak.mb,
        )
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - a stranger's code may raise anything
        return job.failed(error, run.notes)


def _fitted(matcher: Matcher, job: Job, run: Run) -> Matcher:
    if job.train_size == 0:
        return load_model(Path(job.entrant.spec.name + READY), plugins.registry())[0]
    fit_matcher(matcher, job.train, run)
    return matcher


def _as_read(notes: Mapping[str, Any]) -> dict[str, Any]:
    """Return notes as they are read again: of JSON's own types, whatever a matcher noted."""
    read: dict[str, Any] = json.loads(json.dumps(dict(notes)))
    return read


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True
