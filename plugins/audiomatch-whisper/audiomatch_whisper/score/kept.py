"""The evidence of a Whisper as it was loaded, kept in the cache: of a clip it is always the same.

The head of every fit starts from it, and without epochs it is all that is computed of a clip.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np
from audiomatch_torch import Compute
from numpy.typing import NDArray

from audiomatch.cache import ArrayCache
from audiomatch.clips import Clips
from audiomatch.running.identity import computed_by
from audiomatch_whisper.config import WhisperConfig
from audiomatch_whisper.score.pipeline import Pipeline
from audiomatch_whisper.score.scorer import Scorer

# What decides the evidence of an untrained Whisper, beside its weights.
_DECIDES = {
    *("score", "expect", "insertions", "prompt", "language", "spelling", "encoder_layers", "bf16"),
    *("embeddings", "lora", "pad", "trim", "margin"),
}


class KeptEvidence:
    """`Pipeline.features` of clips before anything was trained, by recording and text."""

    def __init__(self, config: WhisperConfig, weights: Mapping[str, str], compute: Compute) -> None:
        """Take what decides it; `weights` are their digests."""
        options = config.model_dump(mode="json", include=_DECIDES)
        device = str(compute.device).partition(":")[0]
        native = [compute.precision, compute.native_bf16, compute.native_int8]
        version = [computed_by(__name__), options, dict(weights), device, native]
        self._config = config
        self._cache = ArrayCache(compute.run, "whisper-evidence", version)

    def of(self, scorer: Scorer, clips: Clips, compute: Compute) -> NDArray[np.float64]:
        """Return the evidence, (clips, features), computing what is not kept."""

        def missing(positions: list[int]) -> NDArray[np.float64]:
            own = Pipeline(scorer, clips.take(positions), self._config, compute)
            return own.features("features")

        return np.stack(self._cache.fill(_keys(clips), missing))

    def compute(self, pipeline: Pipeline) -> NDArray[np.float64]:
        """Compute the evidence of a pipeline's clips, and keep it for others.

        What is kept of them is not read: its last bits depend on the clips beside a clip, and
        training would make more of that.
        """
        start = time.perf_counter()
        found = pipeline.features("features")
        seconds = time.perf_counter() - start
        self._cache.keep(dict(zip(_keys(pipeline.clips), found, strict=True)), seconds)
        return found


def _keys(clips: Clips) -> list[str]:
    return [f"{sound} {text}" for sound, text in zip(clips.digests, clips.texts, strict=True)]
