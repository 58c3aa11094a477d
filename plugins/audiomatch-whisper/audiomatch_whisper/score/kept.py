"""The evidence of a Whisper as it was loaded, kept in the cache: of a clip it is always the same.

The head of every fit starts from it, and without epochs it is all that is computed of a clip.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from audiomatch_torch import Compute
from numpy.typing import NDArray

from audiomatch.cache import ArrayCache
from audiomatch.clips import Clips
from audiomatch.running.identity import computed_by
from audiomatch_whisper.config import WhisperConfig
from audiomatch_whisper.score.pipeline import Pipeline, Rows
from audiomatch_whisper.score.scorer import Choice, Scorer

# What decides the evidence of an untrained Whisper, beside its weights.
_DECIDES = {
    *("score", "expect", "prompt", "language", "spelling", "encoder_layers", "bf16", "embeddings"),
    *("lora", "pad", "trim", "margin"),
}


class KeptEvidence:
    """`Pipeline.features` of clips before anything was trained, by recording and text.

    Behind the numbers of a clip are those of the spellings in which its text was read.
    """

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

        def part(rows: Rows) -> Pipeline:
            return Pipeline(scorer, clips.take(rows), self._config, compute)

        return self._read(scorer, clips, part)[0]

    def of_pipeline(self, pipeline: Pipeline) -> NDArray[np.float64]:
        """Return the evidence of a pipeline's clips, and tell it in which spellings it reads them.

        As `Pipeline.features` does.
        """
        found, choices = self._read(pipeline.scorer, pipeline.clips, pipeline.part)
        pipeline.spellings.update(enumerate(choices))
        return found

    def _read(
        self, scorer: Scorer, clips: Clips, part: Callable[[Rows], Pipeline]
    ) -> tuple[NDArray[np.float64], list[Choice]]:
        """Return the evidence of clips and the spellings in which their texts are read."""

        def missing(positions: list[int]) -> Iterator[NDArray[np.float64]]:
            own = part(np.array(positions))
            for i, evidence in enumerate(own.features("features")):
                yield np.append(evidence, own.spellings[i])

        assert scorer.head is not None
        width = scorer.head.width
        rows = self._cache.fill(_keys(clips), missing)
        choices = [tuple(row[width:].astype(int).tolist()) for row in rows]
        return np.stack([row[:width] for row in rows]), choices


def _keys(clips: Clips) -> list[str]:
    return [f"{sound} {text}" for sound, text in zip(clips.digests, clips.texts, strict=True)]
