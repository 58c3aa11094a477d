"""Clips and texts as tensors on the device; a recording is encoded once, however many its texts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

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
from audiomatch_whisper.network import Memory
from audiomatch_whisper.ragged import Ragged

CPU_SECONDS_AT_ONCE = 60.0
SECONDS_AT_ONCE = 1920.0  # of a GPU that predicts; training takes what a batch has
TEXTS_AT_ONCE = 256
TOKENS_AT_ONCE = 1024.0

Rows = NDArray[np.int64]


class Inputs:
    """What a judge is given of some clips.

    Attributes:
        recording: which recording each clip is of, (clips,): clips of the same audio share one.
        seconds: how long the encoder sees each recording, (recordings,).
        capacity: most seconds of padded audio in one forward pass of training; None where memory
            decides.
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

    def hear(self, recordings: Rows) -> Memory:
        """Return what the decoder makes of some recordings."""
        if self._kept is None:
            return self.judge.hear(self._lower(recordings))
        kept = [self._kept[i] for i in recordings]
        flat = torch.cat(kept).to(self.compute.device)
        return self.judge.hear(Ragged(flat, tuple(map(len, kept))))

    def hear_varied(self, recordings: Rows, vary: Vary) -> Memory:
        """Return what the decoder makes of some recordings as `vary` changes them."""
        features = partial(self._features.varied, vary=vary)
        return self.judge.hear(self._lower(recordings, features))

    def _lower(
        self, recordings: Rows, features: Callable[[Rows], NDArray[np.float32]] | None = None
    ) -> Ragged:
        features = features or self._features
        edges = np.flatnonzero(np.diff(self.seconds[recordings])) + 1
        return self.judge.lower(
            [
                torch.from_numpy(features(alike)).to(self.compute.device)
                for alike in np.split(recordings, edges)
            ]
        )

    def keep_lower(self) -> None:
        """Run what is not trained of the encoder, once a recording."""
        if self.judge.fixed_layers is None:
            return
        kept: list[Tensor] = [torch.empty(0)] * len(self.seconds)

        def keep(recordings: Rows) -> Tensor:
            for i, lower in zip(recordings, self._lower(recordings).parts(), strict=True):
                kept[i] = lower.cpu().clone()
            return torch.zeros(len(recordings))

        self._predict(keep, "encode")
        self._kept = kept

    def _predict(self, numbers: Callable[[Rows], Tensor], label: str) -> NDArray[np.float64]:
        return predict(
            numbers,
            self.seconds,
            self.compute,
            self.run,
            capacity=self.capacity or SECONDS_AT_ONCE,
            mixed=True,
            label=label,
        )

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
            clips = np.concatenate([clips_of[i] for i in recordings])
            owner = np.repeat(np.arange(len(recordings)), [len(clips_of[i]) for i in recordings])
            parts = []
            with self.judge.autocast():
                memory = self.hear(recordings)
                for start in range(0, len(clips), TEXTS_AT_ONCE):
                    part = slice(start, start + TEXTS_AT_ONCE)
                    texts = [self.texts[i] for i in clips[part]]
                    quiet = None if unheard is None else unheard(clips[part])
                    parts.append(of(memory, texts, owner[part], quiet))
            found = torch.cat(parts).float()
            out = found.new_full((len(recordings), most, *found.shape[1:]), torch.nan)
            out[owner, np.concatenate([np.arange(len(clips_of[i])) for i in recordings])] = found
            return out

        found = self._predict(numbers, label)
        own = np.empty_like(order)
        own[order] = place
        return np.asarray(found[self.recording, own])

    def _unheard(self) -> Callable[[Rows], Tensor] | None:
        """Compute what the judge makes of each text in silence; None where it needs none."""
        if self.judge.head is None:
            return None
        texts = list({id(text): text for text in self.texts}.values())
        number = {id(text): i for i, text in enumerate(texts)}
        most = max(len(text.words) for text in texts) + 1

        def numbers(rows: Rows) -> Tensor:
            quiet = self.judge.unheard([texts[i] for i in rows])
            return functional.pad(quiet, (0, most - quiet.shape[1]))

        lengths = np.array([float(len(text.ids)) for text in texts])
        found = predict(
            numbers,
            lengths,
            self.compute,
            self.run,
            capacity=TOKENS_AT_ONCE,
            mixed=True,
            label="texts",
        )
        table = torch.from_numpy(found).float()

        def unheard(clips: Rows) -> Tensor:
            rows = [number[id(self.texts[i])] for i in clips]
            most = max(len(self.texts[i].words) for i in clips) + 1
            return table[rows, :most].to(self.compute.device)

        return unheard
