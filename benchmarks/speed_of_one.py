"""One measurement of `whisper_speed.py`, in a process of its own: reads a job, prints JSON."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from audiomatch import Run
from audiomatch.clips import Clips
from audiomatch.errors import UserError, cause_of
from audiomatch.intake import admit
from audiomatch.matcher import Matcher
from audiomatch.memory import PeakMemory, tree_mb
from audiomatch.plugins import registry
from audiomatch.spec import MatcherSpec, parse_matcher

STEP_SECONDS = 0.5  # what clips are padded to a multiple of
FULL_SECONDS = 30.0
ANSWERS = ("whisper-evidence", "whisper-states")  # parts of the cache
FEW = 16  # clips that a matcher is made ready with where only prediction is measured
Measured = dict[str, Any]


class Stopwatch:
    """Progress that shows nothing and adds up the seconds of each task."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.to_first: float | None = None
        self._start = time.perf_counter()

    @contextmanager
    def task(self, description: str, total: float, unit: str = "clips") -> Iterator[Stopwatch]:
        started = time.perf_counter()
        if self.to_first is None:
            self.to_first = started - self._start
        try:
            yield self
        finally:
            spent = time.perf_counter() - started
            self.seconds[description] = self.seconds.get(description, 0.0) + spent

    def advance(self, amount: float = 1, note: str = "") -> None:
        pass

    def say(self, line: str) -> None:
        print(line, file=sys.stderr)


def measure(job: Measured) -> Measured:
    with tempfile.TemporaryDirectory() as cache:

        def run() -> Run:
            return Run(
                cache=Path(cache),
                device=job["device"],
                precision=job["precision"],
                seed=job["seed"],
                workers=job["threads"] or os.cpu_count() or 1,
                progress=Stopwatch(),
            )

        clips = admit(Clips(pd.read_parquet(job["clips"])), run()).clips
        spec = parse_matcher(job["matcher"])
        if job["clips_a_pass"]:
            spec = sharing_passes(spec, job["clips_a_pass"], clips)
        of = PARTS[job["part"]]
        return {"spec": str(spec), **of(spec, clips, job["texts"], run)}


def sharing_passes(spec: MatcherSpec, count: int, clips: Clips) -> MatcherSpec:
    """Let `count` of the longest clips share a forward pass, and an optimiser step."""
    config: Any = registry().create(spec).config
    length = FULL_SECONDS
    if config.pad != "30s":
        seen = (clips.seconds.max() + config.margin) / STEP_SECONDS
        length = min(np.ceil(seen) * STEP_SECONDS, FULL_SECONDS)
    spec = spec.with_option("batch_size", str(count))
    return spec.with_option("seconds_at_once", f"{count * length:g}")


def measure_fit(spec: MatcherSpec, clips: Clips, texts: int, run: Callable[[], Run]) -> Measured:
    matcher: Any = registry().create(spec)
    before = tree_mb()
    own = run()
    with PeakMemory() as peak:
        seconds = timed(lambda: matcher.fit(clips, own))
    peaks = memory(own, peak)
    return {
        "passes_per_second": matcher.config.epochs * len(clips) / seconds,
        "fit_seconds": seconds,
        "seconds_to_first_task": own.progress.to_first,
        "seconds_of_tasks": own.progress.seconds,
        **peaks,
        "memory_taken_mb": (peaks["peak_memory_mb"] or 0.0) - before,
    }


def measure_predict(
    spec: MatcherSpec, clips: Clips, texts: int, run: Callable[[], Run]
) -> Measured:
    """Make ready without training, which changes the numbers but not the work."""
    matcher = fit_few(spec.with_option("epochs", "0"), clips, run)
    asked = with_texts(clips, texts).unlabelled()
    own = run()
    with PeakMemory() as peak:
        cold = timed(lambda: matcher.predict(asked, own))
        tasks = dict(own.progress.seconds)
        for part in ANSWERS:  # which would be found, and not computed
            shutil.rmtree(own.cache / part, ignore_errors=True)
        warm = timed(lambda: matcher.predict(asked, own))
    return {
        "cold_clips_per_second": len(clips) / cold,
        "warm_clips_per_second": len(clips) / warm,
        "seconds_of_tasks": tasks,
        **memory(own, peak),
    }


def fit_few(spec: MatcherSpec, clips: Clips, run: Callable[[], Run]) -> Matcher:
    """Return a matcher fitted on a few of the clips, with a cache of its own."""
    matcher: Matcher = registry().create(spec)
    few = pd.concat([part.head(FEW // 2) for _, part in clips.frame.groupby("match")])
    with tempfile.TemporaryDirectory() as cache:
        ready = run()
        ready.cache = Path(cache)
        matcher.fit(Clips(few), ready)
    return matcher


def measure_both(spec: MatcherSpec, clips: Clips, texts: int, run: Callable[[], Run]) -> Measured:
    """Fit, then predict the same clips, whose features `fit` has computed; loading is left out.

    What a process does once, as to import libraries, is done before on a few clips.
    """
    fit_few(spec, clips, run)
    matcher: Any = registry().create(spec)
    own = run()
    with PeakMemory() as peak:
        seconds = timed(lambda: matcher.fit(clips, own))
    of_fit = memory(own, peak)
    later = run()
    with PeakMemory() as peak:
        predicting = timed(lambda: matcher.predict(clips.unlabelled(), later))
    return {
        "fit_clips_per_second": len(clips) / (seconds - (own.progress.to_first or 0.0)),
        "fit_seconds": seconds,
        "predict_clips_per_second": len(clips) / predicting,
        **{f"fit_{name}": value for name, value in of_fit.items()},
        **{f"predict_{name}": value for name, value in memory(later, peak).items()},
        "weights": own.notes.get("weights", ""),
    }


PARTS = {"train": measure_fit, "predict": measure_predict, "both": measure_both}


def with_texts(clips: Clips, count: int) -> Clips:
    """Give each recording its own text and `count - 1` texts of other clips."""
    texts = list(dict.fromkeys(clips.texts))
    if count > len(texts):
        raise UserError(f"--texts {count}: the clips have {len(texts)} different texts")
    rows = []
    for row in clips.frame.to_dict("records"):
        at = texts.index(row["expected_text"])
        for i in range(count):
            text = texts[(at + i) % len(texts)]
            rows.append({**row, "id": f"{row['id']} {i}", "expected_text": text})
    return Clips(pd.DataFrame(rows))


def timed(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def memory(run: Run, peak: PeakMemory) -> Measured:
    return {
        "peak_memory_mb": peak.mb,
        "peak_gpu_memory_mb": run.notes.get("peak_gpu_memory_mb"),
    }


if __name__ == "__main__":
    try:
        print(json.dumps(measure(json.loads(Path(sys.argv[1]).read_text("utf-8")))))
    except Exception as error:  # noqa: BLE001 - told to the parent process
        sys.exit(str(error) if isinstance(error, UserError) else cause_of(error))
