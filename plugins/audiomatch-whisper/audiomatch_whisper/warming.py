"""Warm-up: a Whisper learns to transcribe such speech before it learns to judge."""

from __future__ import annotations

import numpy as np
from audiomatch_torch import Compute, TrainOptions, train
from numpy.typing import NDArray
from torch import Tensor

from audiomatch.clips import Clips
from audiomatch.errors import UserError
from audiomatch.further import open_further
from audiomatch.matcher import Run
from audiomatch_whisper.config import WhisperConfig
from audiomatch_whisper.evidence import next_token
from audiomatch_whisper.inputs import Inputs
from audiomatch_whisper.judge import Judge
from audiomatch_whisper.network import decode

MATCHES = "matches"


def corpus_of(config: WhisperConfig) -> str | None:
    """Return the DATA that the option `warm_up` names, None where it names none."""
    return None if config.warm_up in ("", MATCHES) else config.warm_up


def further_matches(config: WhisperConfig, run: Run) -> Clips | None:
    """Return the matches of the DATA that `warm_up` names, or all of it where it has no labels.

    None where it names none. Raises `UserError` where DATA cannot be read or holds no match.
    """
    data = corpus_of(config)
    if data is None:
        return None
    clips = open_further(data, run)
    if not clips.labelled:
        return clips
    if not clips.labels.any():
        raise UserError(f"warm_up={data}: no clip has match 1, so there is nothing to transcribe")
    return clips.take(clips.labels == 1)


def warm_up(
    judge: Judge,
    inputs: Inputs,
    clips: NDArray[np.int64],
    options: TrainOptions,
    compute: Compute,
    run: Run,
) -> None:
    """Fine-tune the Whisper to transcribe; what the judge froze stays, and so does its head.

    The loss of a clip is the mean next-token cross-entropy, in nats, of its text's tokens and of
    its end, given the speech.

    Args:
        judge: the Whisper.
        inputs: of some clips.
        clips: the positions of those that are transcribed; the texts of others are not read.
        options: how to train.
        compute: the device and precision.
        run: for seed and progress.
    """
    whisper = judge.whisper

    def losses(rows: NDArray[np.int64]) -> Tensor:
        own = clips[rows]
        texts = judge.batch([inputs.texts[i] for i in own])
        memory = inputs.hear(inputs.recording[own])
        log_p = next_token(whisper, decode(whisper, texts.reading, memory), texts)
        return -log_p.sum(1) / texts.mask.sum(1)

    seconds = inputs.seconds[inputs.recording[clips]]
    train(whisper, losses, seconds, options, compute, run, label="warm-up")
