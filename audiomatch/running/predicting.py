"""Predictions of a saved model on several devices, by a process on each."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import FIRST_EXCEPTION, wait
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audiomatch import plugins
from audiomatch.clips import Clips
from audiomatch.contract import predict_matches
from audiomatch.matcher import Matcher, Run
from audiomatch.model import load_model
from audiomatch.progress import Progress, QuietProgress
from audiomatch.running.devices import DevicesExecutor
from audiomatch.running.process import ProcessExecutor
from audiomatch.shards import Predict


@contextmanager
def predicting_on_devices(place: Path, run: Run) -> Iterator[Predict]:
    """Give what predicts clips by the model at `place`, a share of them on each of `run.devices`.

    Each process loads the model once. What one raises is raised here, and ends the others.
    """
    count = len(run.devices)
    with DevicesExecutor(ProcessExecutor(), run) as lanes:

        def predict(clips: Clips, run: Run) -> NDArray[np.float64]:
            every = np.arange(len(clips))
            shares = [every[first::count] for first in range(min(count, len(clips)))]
            quiet = replace(run, progress=QuietProgress(), notes={})
            asked = [
                lanes.submit(_predict, place, clips.take(share), quiet, run.progress)
                for share in shares
            ]
            for one in wait(asked, return_when=FIRST_EXCEPTION).done:
                one.result()
            found = np.empty(len(clips))
            for share, one in zip(shares, asked, strict=True):
                found[share] = one.result()
            return found

        yield predict


def _predict(place: Path, clips: Clips, run: Run, progress: Progress) -> NDArray[np.float64]:
    return predict_matches(_loaded(place), clips, replace(run, progress=progress))


@cache  # a process is there for one model
def _loaded(place: Path) -> Matcher:
    return load_model(place, plugins.registry())[0]
