"""Audio features of many clips: computed once, in parallel, and kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from audiomatch import ClipError
from audiomatch.audio import Recording, recordings
from audiomatch.workers import each_by_workers
from audiomatch_boosting.features import audio

if TYPE_CHECKING:  # pandas would slow the start of every worker
    from audiomatch import Run
    from audiomatch.clips import Clips


@cache
def audio_columns() -> tuple[str, ...]:
    """Return the names of the audio features, in the order they are kept."""
    return tuple(audio.audio_features(np.zeros(1, np.float32)))


def audio_table(clips: Clips, run: Run) -> NDArray[np.float32]:
    """Return the audio features of `clips`, shape (n, features), columns as `audio_columns`.

    What is not in `run.cache` yet is computed by `run.workers` processes and put there under the
    digest of the clip's file: equal audio is computed once. Raises `ClipError` that names the clip.
    """
    from audiomatch.cache import ArrayCache
    from audiomatch.running.identity import computed_by

    digests, sources = clips.digests, recordings(clips)

    def compute(missing: list[int]) -> Iterator[NDArray[np.float32]]:
        jobs = [sources[i]._replace(digest=digests[i]) for i in missing]
        with (
            run.progress.task("audio features", total=len(jobs)) as task,
            closing(each_by_workers(_measure, jobs, run.workers)) as results,
        ):
            for i, result in zip(missing, results, strict=True):
                if isinstance(result, str):
                    raise ClipError(f"{clips.where(i)}: {result}")
                yield result
                task.advance()

    rows = ArrayCache(run, "boosting", computed_by(__name__)).fill(digests, compute)
    return np.asarray(rows, np.float32).reshape(len(clips), len(audio_columns()))


def _measure(recording: Recording) -> NDArray[np.float32] | str:
    """Compute one clip's features; a clip that cannot be used gives the reason."""
    try:
        samples = recording.load()
    except ClipError as error:
        return str(error)
    return np.fromiter(audio.audio_features(samples).values(), np.float32)
