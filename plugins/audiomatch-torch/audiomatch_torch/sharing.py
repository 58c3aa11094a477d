"""One fit on several devices: starts a rank on each, and ends all where one is lost."""

from __future__ import annotations

import signal
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, FIRST_EXCEPTION, Future, wait
from dataclasses import replace
from pathlib import Path
from typing import Any

from audiomatch.clips import Clips
from audiomatch.matcher import Matcher, Run
from audiomatch.progress import Progress, QuietProgress
from audiomatch.running.devices import DevicesExecutor
from audiomatch.running.process import LostWorkerError, ProcessExecutor
from audiomatch_torch.ranks import LeftAloneError, Ranks, joined

_CAUSE = 5.0  # seconds in which the end of a rank is heard of, once others miss it
MODEL = "model"


def fit_on_devices(matcher: Matcher, train: Clips, run: Run) -> None:
    """Fit `matcher` in processes of their own, one on each of `run.devices`; then load it here.

    It explains as one that was prepared for that. Raises what the first rank that fails does.
    """
    with (
        tempfile.TemporaryDirectory(prefix="audiomatch-") as folder,
        DevicesExecutor(ProcessExecutor(), run) as executor,
    ):
        quiet = replace(run, progress=QuietProgress(), notes={})
        ranks = [Ranks(run.devices, rank) for rank in range(len(run.devices))]
        asked = [
            executor.submit(
                _fit,
                type(matcher),
                matcher.config,
                train,
                quiet,
                one,
                Path(folder),
                QuietProgress() if one.rank else run.progress,
            )
            for one in ranks
        ]
        run.notes.update(_answer(asked))
        matcher.load(Path(folder) / MODEL)


def _fit(
    make: Callable[[Any], Matcher],
    config: Any,
    train: Clips,
    run: Run,
    ranks: Ranks,
    folder: Path,
    progress: Progress,
) -> dict[str, Any]:
    """Fit one of `ranks`; rank 0 saves the model in `folder`. Returns the notes."""
    matcher, run = make(config), replace(run, progress=progress, notes={})
    if ranks.rank:  # rank 0, which writes what is kept, is the first to leave
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with joined(ranks, run.device, folder):
        matcher.fit(train, run)
    if not ranks.rank:
        matcher.prepare_explain(run)
        (folder / MODEL).mkdir()
        matcher.save(folder / MODEL)
    return run.notes


def _answer(asked: Sequence[Future[dict[str, Any]]]) -> dict[str, Any]:
    """Return what rank 0 gives once all have ended, or raise why one has not ended well."""
    wait(asked, return_when=FIRST_EXCEPTION)
    until = time.monotonic() + _CAUSE
    while _unexplained(asked) and (left := until - time.monotonic()) > 0:
        wait([one for one in asked if not one.done()], left, FIRST_COMPLETED)
    errors = _errors(asked).items()
    for rank, error in sorted(errors, key=lambda found: isinstance(found[1], LeftAloneError)):
        if isinstance(error, LostWorkerError):
            raise LostWorkerError(f"process {rank + 1} of {len(asked)} of the fit: {error}")
        raise error
    return asked[0].result()


def _unexplained(asked: Sequence[Future[dict[str, Any]]]) -> bool:
    """Whether ranks miss another one of which nothing is known yet."""
    errors = _errors(asked).values()
    missed = bool(errors) and all(isinstance(error, LeftAloneError) for error in errors)
    return missed and not all(one.done() for one in asked)


def _errors(asked: Sequence[Future[dict[str, Any]]]) -> dict[int, BaseException]:
    """Return the error of each rank that has one so far."""
    found = {i: future.exception() for i, future in enumerate(asked) if future.done()}
    return {i: error for i, error in found.items() if error is not None}
