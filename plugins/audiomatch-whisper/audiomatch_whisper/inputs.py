"""Clips and texts as tensors on the device; a recording is encoded once, however many its texts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from audiomatch_torch import Compute, predict
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from audiomatch.clips import Clips
from audiomatch.matcher import Run
from audiomatch_whisper.augmenting import Vary
from audiomatch_whisper.config import WhisperConfig
from audiomatch_whisper.features import Features
from audiomatch_whisper.judge import Judge
from audiomatch_whisper.texts import TextBatch

CPU_SECONDS_AT_ONCE = 60.0
TEXTS_AT_ONCE = 64
TOKENS_AT_ONCE = 1024.0

Rows = NDArray[np.int64]


class Inputs:
    """What a judge is given of some clips.

    Attributes:
        recording: which recording each clip is of, (clips,): clips of the same audio share one.
        seconds: how long the encoder sees each recording, (recordings,).
        capacity: most seconds of padded audio in one forward pass; None where memory decides.
        texts: of each clip; clips of the same text share one.
    """

    def __init__(
        self, judge: Judge, clips: Clips, config: WhisperConfig, compute: Compute, run: Run
    ) -> None:
        """Load every recording; raises `UserError` that names the clip."""
        self.judge, self.compute, self.run = judge, compute, run
        self.texts = judge.texts(clips)
        paths = np.array([str(path) for path in clips.paths])
        _, first, self.recording = np.unique(paths, return_index=True, return_inverse=True)
        extractor = judge.backbone.extractor
        self._features = Features(
            clips.take(first), extractor, run, config.pad, config.margin, config.trim
        )
        self.seconds = self._features.seconds
        self.capacity = config.seconds_at_once
        if self.capacity is None and compute.device.type == "cpu":
            self.capacity = CPU_SECONDS_AT_ONCE
        self._kept: list[Tensor] | None = None

    def states(self, recordings: Rows) -> Tensor:
        """Return the encoder states of recordings of equal length, (n, s, d)."""
        if self._kept is not None:
            lower = torch.stack([self._kept[i] for i in recordings]).to(self.compute.device)
        else:
            lower = self._lower(recordings)
        return self.judge.states(lower)

    def varied_states(self, recordings: Rows, vary: Vary) -> Tensor:
        """Return the encoder states of recordings of equal length as `vary` changes them."""
        mel = torch.from_numpy(self._features.varied(recordings, vary)).to(self.compute.device)
        with torch.no_grad():
            lower = self.judge.lower(mel)
        return self.judge.states(lower)

    def _lower(self, recordings: Rows) -> Tensor:
        mel = torch.from_numpy(self._features(recordings)).to(self.compute.device)
        return self.judge.lower(mel)

    def keep_lower(self) -> None:
        """Run what is not trained of the encoder, once a recording."""
        if self.judge.fixed_layers is None:
            return
        kept: list[Tensor] = [torch.empty(0)] * len(self.seconds)

        def keep(recordings: Rows) -> Tensor:
            for i, lower in zip(recordings, self._lower(recordings).cpu(), strict=True):
                kept[i] = lower.clone()
            return torch.zeros(len(recordings))

        predict(keep, self.seconds, self.compute, self.run, capacity=self.capacity, label="encode")
        self._kept = kept

    def batch(self, rows: Rows) -> TextBatch:
        """Return the texts of some clips."""
        return self.judge.batch([self.texts[i] for i in rows])

    def numbers(self, evidence: bool, label: str) -> NDArray[np.float64]:
        """Return each clip's logit, or what it is made of, in clip order.

        A recording is encoded once for all its texts; what the decoder makes of a text in silence
        is computed once for all its clips.
        """
        of = self.judge.evidence if evidence else self.judge
        unheard = self._unheard()
        order = np.argsort(self.recording, kind="stable")
        clips_of = np.split(order, np.cumsum(np.bincount(self.recording))[:-1])
        place = np.concatenate([np.arange(len(clips)) for clips in clips_of])
        most = int(place.max()) + 1

        def numbers(recordings: Rows) -> Tensor:
            states = self.states(recordings)
            clips = np.concatenate([clips_of[i] for i in recordings])
            owner = np.repeat(np.arange(len(recordings)), [len(clips_of[i]) for i in recordings])
            parts = []
            for start in range(0, len(clips), TEXTS_AT_ONCE):
                part = slice(start, start + TEXTS_AT_ONCE)
                texts = self.batch(clips[part])
                quiet = None if unheard is None else unheard(clips[part], texts)
                parts.append(of(states, texts, owner[part], quiet))
            found = torch.cat(parts).float()
            out = found.new_full((len(recordings), most, *found.shape[1:]), torch.nan)
            out[owner, np.concatenate([np.arange(len(clips_of[i])) for i in recordings])] = found
            return out

        found = predict(
            numbers, self.seconds, self.compute, self.run, capacity=self.capacity, label=label
        )
        own = np.empty_like(order)
        own[order] = place
        return np.asarray(found[self.recording, own])

    def _unheard(self) -> Callable[[Rows, TextBatch], Tensor] | None:
        """Compute what the judge makes of each text in silence; None where it needs none."""
        if self.judge.head is None:
            return None
        texts = list({id(text): text for text in self.texts}.values())
        number = {id(text): i for i, text in enumerate(texts)}
        most = max(len(text.words) for text in texts) + 1

        def numbers(rows: Rows) -> Tensor:
            quiet = self.judge.unheard(self.judge.batch([texts[i] for i in rows]))
            return functional.pad(quiet, (0, most - quiet.shape[1]))

        lengths = np.array([float(len(text.ids)) for text in texts])
        found = predict(
            numbers, lengths, self.compute, self.run, capacity=TOKENS_AT_ONCE, label="texts"
        )
        table = torch.from_numpy(found).float()

        def unheard(clips: Rows, batch: TextBatch) -> Tensor:
            rows = [number[id(self.texts[i])] for i in clips]
            return table[rows, : batch.words.shape[1]].to(self.compute.device)

        return unheard
