"""The one way from clips to scores: log-mel, encoder states, decoder, features, logits.

`fit`, `predict` and `explain` share it. A recording is encoded once, however many its texts, and
what the decoder expects of a text in silence is computed once, however many its clips.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from audiomatch_torch import (
    Compute,
    Encoded,
    Keep,
    encode_once,
    predict,
    to_device,
    without_autocast,
)
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from audiomatch.cache import ArrayCache
from audiomatch.clips import Clips
from audiomatch.running.identity import computed_by
from audiomatch_whisper.config import WhisperConfig
from audiomatch_whisper.net.decoder import CrossAttentionCache
from audiomatch_whisper.net.ragged import Ragged
from audiomatch_whisper.score.scorer import Scorer
from audiomatch_whisper.score.targets import Target, texts_of
from audiomatch_whisper.sound.augment import Augment
from audiomatch_whisper.sound.log_mel import FRAMES_A_SECOND, LogMels

SECONDS_AT_ONCE = 1920.0  # of a GPU that predicts; training takes what a batch has
TEXTS_AT_ONCE = 256
TOKENS_AT_ONCE = 1024.0
MOST_KEPT = 4 * 2**30  # bytes of states, of all models and clips, after which it begins anew
STATES_A_SECOND = FRAMES_A_SECOND // 2
FEW = 16  # recordings that are not trained on: what they take is not worth a write

Rows = NDArray[np.int64]


class Pipeline:
    """Some clips on their way through a scorer.

    Clips of the same audio share a recording, clips of the same text share a text.

    Attributes:
        scorer: the Whisper with its head.
        clips: the clips.
        recordings: the recording of each clip, (clips,).
        recorded: a clip of each recording.
        seconds: how long the encoder sees each recording, (recordings,).
        texts: the texts, and which of them each clip has.
        capacity: the most seconds of padded audio in one forward pass of training; None where
            memory decides.
    """

    def __init__(
        self, scorer: Scorer, clips: Clips, config: WhisperConfig, compute: Compute
    ) -> None:
        """Load every recording; raises `UserError` that names the clip."""
        self.scorer, self.clips, self.compute, self._config = scorer, clips, compute, config
        self.texts = texts_of(clips, scorer.whisper, scorer.prompt, scorer.spell)
        _, first, self.recordings = np.unique(
            np.array(clips.digests), return_index=True, return_inverse=True
        )
        self.recorded = clips.take(first)
        self._mels = LogMels(
            self.recorded,
            scorer.whisper.extractor,
            compute.run,
            config.pad,
            config.margin,
            config.trim,
        )
        self.seconds = self._mels.seconds
        self.capacity = compute.capacity(config.seconds_at_once)
        self._frozen: Encoded | None = None
        self._read: dict[int, Target] = {}

    def encode(self, recordings: Rows, augment: Augment | None = None) -> CrossAttentionCache:
        """Encode some recordings, perhaps varied by `augment`, for the decoder."""
        if self._frozen is None or augment is not None:
            states = self._encode_frozen(recordings, augment)
        else:
            kept = [self._frozen[i] for i in recordings]
            with without_autocast(torch.device("cpu")):  # which joins no float16
                flat = torch.cat(kept)
            flat = to_device(flat, self.compute.device)  # gradients may go through it
            states = Ragged(flat, tuple(map(len, kept)))
        cache = self.scorer.encode_trained(states)
        bounds, before = self._mels.bounds[recordings], ()
        if self.scorer.complete:
            before = tuple(self._mels.sound_before[i] for i in recordings)
        return replace(cache, bounds=bounds, sound_before=before)

    def _encode_frozen(self, recordings: Rows, augment: Augment | None = None) -> Ragged:
        mels = self._mels if augment is None else partial(self._mels.augmented, augment=augment)
        edges = np.flatnonzero(np.diff(self.seconds[recordings])) + 1
        alike = tuple(torch.from_numpy(mels(own)) for own in np.split(recordings, edges))
        return self.scorer.encode_frozen(to_device(alike, self.compute.device))

    def keep_frozen(self) -> None:
        """Run what is not trained of the encoder once a recording, and keep its states.

        They are kept in `run.cache` where there is room for them, for other fits and predictions.
        """
        if self.scorer.frozen_layers is None:
            return
        self._frozen = encode_once(
            lambda recordings: self._encode_frozen(recordings).sequences(),
            self.seconds,
            self.compute,
            capacity=self.capacity or SECONDS_AT_ONCE,
            mixed=True,
            keep=self._keep,
        )

    @cached_property
    def _keep(self) -> Keep | None:
        """Where the frozen states are kept; None where they are too large, or several ranks fit."""
        scorer, compute, config = self.scorer, self.compute, self._config
        if compute.ranks.devices:
            return None
        version = [
            computed_by(__name__),
            [scorer.frozen_digest, scorer.frozen_layers, scorer.bf16],
            [config.pad, config.margin, config.trim],
            [compute.device.type, compute.precision],
        ]
        cache = ArrayCache(compute.run, "whisper-states", version)
        width = scorer.model.config.d_model
        size = int(self.seconds.sum() * STATES_A_SECOND) * width * torch.half.itemsize
        keys = self.recorded.digests
        return Keep(cache, keys) if cache.make_room(size, MOST_KEPT) else None

    def each_recording(
        self, numbers: Callable[[Rows], Tensor], label: str, *, shared: bool = False
    ) -> NDArray[np.float64]:
        """Compute `numbers` of recordings without gradients, as many at a time as memory holds.

        `shared` is as `predict` takes it. What is not trained comes from where `keep_frozen` keeps
        it, but not on a GPU, which computes it sooner than a disk takes it.
        """
        frozen, few = self.scorer.frozen_layers, len(self.seconds) <= FEW
        worth = frozen is not None and self.compute.device.type == "cpu" and not few
        if worth and self._frozen is None and self._keep is not None:
            self.keep_frozen()
        return predict(
            numbers,
            self.seconds,
            self.compute,
            capacity=self.capacity or SECONDS_AT_ONCE,
            mixed=True,
            shared=shared,
            label=label,
        )

    def clips_of(self, recordings: Rows) -> tuple[Rows, Rows]:
        """Return the clips of some recordings, and the place in `recordings` that each is of."""
        clips = [self._clips_of[i] for i in recordings]
        owner = np.repeat(np.arange(len(recordings)), [len(own) for own in clips])
        return np.concatenate(clips), owner

    @cached_property
    def _clips_of(self) -> list[Rows]:
        order = np.argsort(self.recordings, kind="stable")
        return np.split(order, np.cumsum(np.bincount(self.recordings))[:-1])

    def targets_of(self, clips: Rows) -> list[Target]:
        """Return the text of some clips, as the decoder reads it."""
        return [self.texts.targets[i] for i in self.texts.of_clip[clips]]

    def read_targets_of(self, clips: Rows) -> list[Target]:
        """Return the text of some clips in the spelling in which `features` read it."""
        own = self.targets_of(clips)
        return [self._read.get(int(i), target) for i, target in zip(clips, own, strict=True)]

    def score_silence(self, targets: Sequence[Target] | None = None) -> Tensor:
        """Return the log probability of each token of each text given silence: (texts, maximum).

        It is that of the scorer as it stands; training changes it. Ranks that fit together each
        compute some of it, and all must ask for it.

        Args:
            targets: the texts; those of `texts` where None.
        """
        targets = self.texts.targets if targets is None else targets
        lengths = np.array([len(target.tokens) for target in targets])
        maximum = int(lengths.max())

        def numbers(rows: Rows) -> Tensor:
            silent = self.scorer.score_silence([targets[i] for i in rows])
            return functional.pad(silent, (0, maximum - silent.shape[1]))

        found = predict(
            numbers,
            (lengths + len(self.scorer.prompt)).astype(np.float64),
            self.compute,
            capacity=TOKENS_AT_ONCE,
            mixed=True,
            shared=True,
            label="texts in silence",
        )
        return torch.from_numpy(found).float()

    def silent_of(self, silent: Tensor, clips: Rows) -> Tensor:
        """Return what `score_silence` gave for the texts of some clips: (clips, their maximum)."""
        texts = self.texts.of_clip[clips]
        maximum = max(len(self.texts.targets[i].tokens) for i in texts)
        return silent[texts, :maximum].to(self.compute.device)

    def logits(self, label: str) -> NDArray[np.float64]:
        """Return each clip's logit of match, (clips,)."""
        return self._each_clip(lambda _, *asked: self.scorer(*asked), label)

    def features(self, label: str) -> NDArray[np.float64]:
        """Return what each clip's logit is made of, (clips, features); see `Scorer.read`."""
        own: dict[int, Target] = {}

        def read(clips: Rows, *asked: Any) -> Tensor:
            found, read = self.scorer.read(*asked)
            own.update(zip(clips.tolist(), read, strict=True))
            return found

        found = self._each_clip(read, label)
        for texts in self.compute.ranks.gather_objects(own):  # each rank read some of the clips
            self._read.update(texts)
        return found

    def _each_clip(self, score: Callable[..., Tensor], label: str) -> NDArray[np.float64]:
        """Score each clip's text; `score` is given the clips and what `Scorer.read` takes."""
        silent = None if self.scorer.head is None else self.score_silence()
        place = np.empty(len(self.clips), dtype=np.int64)  # of a clip among its recording's
        for own in self._clips_of:
            place[own] = np.arange(len(own))
        maximum = int(place.max()) + 1

        def numbers(recordings: Rows) -> Tensor:
            clips, owner = self.clips_of(recordings)
            with self.scorer.autocast():
                cache = self.encode(recordings)
                parts = [
                    score(
                        clips[part],
                        cache,
                        self.targets_of(clips[part]),
                        owner[part],
                        None if silent is None else self.silent_of(silent, clips[part]),
                    )
                    for part in pieces(len(clips), TEXTS_AT_ONCE)
                ]
            found = torch.cat(parts).float()
            # Those of a recording side by side, filled up: (recordings, maximum, …).
            out = found.new_full((len(recordings), maximum, *found.shape[1:]), torch.nan)
            out[self.compute.index(owner), self.compute.index(place[clips])] = found
            return out

        found = self.each_recording(numbers, label, shared=True)
        return np.asarray(found[self.recordings, place])


def pieces(count: int, at_once: int) -> Iterator[slice]:
    """Cut a range into slices of at most `at_once`."""
    for start in range(0, count, at_once):
        yield slice(start, min(start + at_once, count))
