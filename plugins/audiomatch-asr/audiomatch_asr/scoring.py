"""The evidence of clips."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from audiomatch_torch import Compute, predict, to_device
from numpy.typing import NDArray
from torch import Tensor

from audiomatch.audio import SAMPLE_RATE, map_audio
from audiomatch.clips import Clips
from audiomatch.errors import UserError
from audiomatch_asr.evidence import evidence
from audiomatch_asr.recogniser import Recogniser
from audiomatch_asr.texts import Ids, Spelling

SILENCE_SECONDS = 1.0
Rows = NDArray[np.int64]
Vector = NDArray[np.float64]


def evidence_of(
    clips: Clips, asr: Recogniser, seconds_at_once: float | None, compute: Compute
) -> Vector:
    """Return the evidence of every clip, at least one, (n, 7).

    Raises `UserError` with the row of a text that cannot be scored, `ClipError` with that of audio.
    """
    spellings = {text: asr.texts.spell(text) for text in dict.fromkeys(clips.texts)}
    for row, text in enumerate(clips.texts):
        if spellings[text].refused:
            raise UserError(f"{clips.where(row)}: {spellings[text].refused}")
    silent = _given_silence(spellings, asr, seconds_at_once, compute)
    longest = max(len(one.ids) for one in spellings.values())
    sounds = _Sounds(clips, asr, compute)

    def log_probs(rows: Rows) -> Tensor:
        ids = [spellings[clips.texts[i]].ids for i in rows]
        return _log_probs(asr, sounds.encode(rows), ids, longest)

    capacity = compute.capacity(seconds_at_once)
    found = predict(
        log_probs, sounds.seconds, compute, capacity=capacity, shared=True, label="score"
    )
    return np.array(
        [
            evidence(log_p[: len(silent[text])], silent[text], spellings[text])
            for log_p, text in zip(found, clips.texts, strict=True)
        ]
    )


def _given_silence(
    spellings: dict[str, Spelling], asr: Recogniser, seconds_at_once: float | None, compute: Compute
) -> dict[str, Vector]:
    """Return the log probability of each text's tokens and of its end, given silence."""
    silence = asr.features(np.zeros(int(SILENCE_SECONDS * SAMPLE_RATE), np.float32))
    ids = [one.ids for one in spellings.values()]
    longest = max(map(len, ids))

    def log_probs(rows: Rows) -> Tensor:
        states = asr.encode(to_device(torch.from_numpy(silence[None]), compute.device))
        return _log_probs(asr, states.expand(len(rows), -1, -1), [ids[i] for i in rows], longest)

    found = predict(
        log_probs,
        np.full(len(ids), SILENCE_SECONDS),
        compute,
        capacity=compute.capacity(seconds_at_once),
        shared=True,
        label="score silence",
    )
    own = zip(spellings, found, ids, strict=True)
    return {text: log_p[: len(text_ids) + 1] for text, log_p, text_ids in own}


def _log_probs(asr: Recogniser, states: Tensor, ids: Sequence[Ids], longest: int) -> Tensor:
    found = asr.log_probs(states, ids)
    return torch.nn.functional.pad(found, (0, longest + 1 - found.shape[1]))


class _Sounds:
    """What a recogniser is given of some clips; a recording of several texts is read once.

    Attributes:
        seconds: how long each clip is, float64 (n,).
    """

    def __init__(self, clips: Clips, asr: Recogniser, compute: Compute) -> None:
        self._asr, self._device = asr, compute.device
        _, first, self._of = np.unique(
            np.array(clips.digests), return_index=True, return_inverse=True
        )
        self._recorded = map_audio(clips.take(first), asr.features, compute.run, "read")
        lengths = np.array([len(features) for features in self._recorded])
        self.seconds = lengths[self._of] / asr.rate

    def encode(self, rows: Rows) -> Tensor:
        """Return the encoder's states of rows of one length, (rows, frames, d)."""
        distinct, own = np.unique(self._of[rows], return_inverse=True)
        features = torch.from_numpy(np.stack([self._recorded[i] for i in distinct]))
        states = self._asr.encode(to_device(features, self._device))
        return states[to_device(torch.from_numpy(own), self._device)]
