"""Transcribing first: the Whisper is fine-tuned to transcribe before it is trained to match."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from audiomatch_torch import TrainOptions, train
from numpy.typing import NDArray
from torch import Tensor

from audiomatch.clips import Clips
from audiomatch.errors import UserError
from audiomatch.further import open_further
from audiomatch.matcher import Run
from audiomatch_whisper.config import WhisperConfig
from audiomatch_whisper.score.pipeline import Pipeline
from audiomatch_whisper.score.targets import TargetBatch
from audiomatch_whisper.score.tokens import score_tokens

MATCHES = "matches"


def corpus_of(config: WhisperConfig) -> str | None:
    """Return the DATA that the option `transcribe_first` names, None where it names none."""
    return None if config.transcribe_first in ("", MATCHES) else config.transcribe_first


def further_matches(config: WhisperConfig, run: Run) -> Clips | None:
    """Return the matches of the DATA that the option names, or all of it where it has no labels.

    None where it names none. Raises `UserError` where DATA cannot be read or holds no match.
    """
    data = corpus_of(config)
    if data is None:
        return None
    clips = open_further(data, run)
    if not clips.labelled:
        return clips
    if not clips.labels.any():
        raise UserError(
            f"transcribe_first={data}: no clip has match 1, so there is nothing to transcribe"
        )
    return clips.take(clips.labels == 1)


def learn_to_transcribe(
    pipeline: Pipeline, clips: NDArray[np.int64], options: TrainOptions
) -> None:
    """Fine-tune the Whisper to transcribe; what is frozen stays, and so does the head.

    The loss of a clip is the mean next-token cross-entropy, in nats, of its text's tokens and of
    its end, given the speech.

    Args:
        pipeline: of some clips.
        clips: the positions of those that are transcribed; the texts of others are not read.
        options: how to train.
    """
    model = pipeline.scorer.model

    def losses(rows: NDArray[np.int64]) -> Tensor:
        own = clips[rows]
        written = [replace(one, spellings=()) for one in pipeline.targets_of(own)]
        batch = TargetBatch.of(written, model.device)
        log_p = score_tokens(model, batch, pipeline.encode(pipeline.recordings[own]))
        return -log_p.sum(1) / batch.mask.sum(1)  # (rows,)

    seconds = pipeline.seconds[pipeline.recordings[clips]]
    train(model, losses, seconds, options, pipeline.compute, label="learn to transcribe")
