"""Predictions of many clips in parts: memory stays flat, and a stop loses one part at most."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiomatch.cache import ArrayCache
from audiomatch.clips import Clips
from audiomatch.intake import data_digest
from audiomatch.matcher import Run
from audiomatch.running.identity import digest_of

CLIPS = 2_000  # of a part
PREFIX = "predictions-"  # of the folder in `run.cache` that holds what is not finished

Predict = Callable[[Clips, Run], NDArray[np.float64]]


@contextmanager
def predicted(
    predict: Predict, clips: Clips, run: Run, model: Any = None
) -> Iterator[NDArray[np.float64]]:
    """Give `predict(clips, run)`, shape (n,), computed part by part where there are many clips.

    Each part's numbers are kept in `run.cache` until the block ends well, so that the same call
    goes on after the last part of one that was stopped. What a part's features take in the cache is
    gone with it: of so many clips they are used once.

    Args:
        predict: gives P(match) of each clip.
        clips: those to predict.
        run: what `predict` is given.
        model: JSON-able, all that decides the numbers but `clips` and `run`; None where that is not
            known, and no part is kept.
    """
    if len(clips) <= CLIPS:
        yield predict(clips, run)
        return
    decides = [CLIPS, model, run.device.partition(":")[0], run.precision, run.seed]
    # The digest of the clips knows no order, and a part is known by where it starts.
    name = PREFIX + digest_of([*decides, data_digest(clips), clips.ids])[:16]
    cache = ArrayCache(run, name, decides)
    starts = range(0, len(clips), CLIPS)
    found = {} if model is None else cache.get(map(str, starts))
    parts = {start: np.array(found[str(start)]) for start in starts if str(start) in found}
    if parts:
        run.progress.say(f"goes on after {sum(map(len, parts.values()))} clips predicted before")
    left = [start for start in starts if start not in parts]
    with run.progress.task("predicting", total=sum(_size(clips, start) for start in left)) as task:
        for start in left:
            part = clips.take(np.arange(start, start + _size(clips, start)))
            with _features(run, name) as own:
                parts[start] = predict(part, own)
            if model is not None:
                cache.keep({str(start): parts[start]})
            task.advance(len(part))
    yield np.concatenate([parts[start] for start in starts])
    shutil.rmtree(run.cache / name, ignore_errors=True)


def _size(clips: Clips, start: int) -> int:
    return min(CLIPS, len(clips) - start)


@contextmanager
def _features(run: Run, name: str) -> Iterator[Run]:
    """Give the run with a cache of its own, which is removed; the run itself where none can be."""
    try:
        (run.cache / name).mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(
            prefix="features-", dir=run.cache / name, ignore_cleanup_errors=True
        )
    except OSError:
        yield run
        return
    with folder:
        yield replace(run, cache=Path(folder.name))
