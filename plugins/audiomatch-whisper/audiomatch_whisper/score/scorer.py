"""A Whisper with its head: from log-mel and texts to logits of match."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import cached_property

import numpy as np
import torch
from audiomatch_torch import Compute
from numpy.typing import NDArray
from torch import Tensor, nn

from audiomatch.audio import SAMPLE_RATE
from audiomatch_whisper.config import WhisperConfig
from audiomatch_whisper.net.decoder import CrossAttentionCache
from audiomatch_whisper.net.encoder import (
    digest_of_first_layers,
    encode_first_layers,
    encode_last_layers,
)
from audiomatch_whisper.net.modules import WhisperNetwork, in_bfloat16
from audiomatch_whisper.net.ragged import Ragged
from audiomatch_whisper.net.softmax import QuantisedNormaliser
from audiomatch_whisper.net.weights import Whisper
from audiomatch_whisper.score.alignment import decode_following
from audiomatch_whisper.score.completeness import complete_features, head_of, speaking_times
from audiomatch_whisper.score.features import ScoreFeatures
from audiomatch_whisper.score.head import ProductHead
from audiomatch_whisper.score.insertions import GapReader, insertions
from audiomatch_whisper.score.silence import Silence
from audiomatch_whisper.score.targets import Target, TargetBatch, prompt_of
from audiomatch_whisper.score.tokens import (
    end_logit_lead,
    read_tokens,
    same_position_logit,
    score_tokens,
)
from audiomatch_whisper.sound.log_mel import log_mel
from audiomatch_whisper.text.spellings import Speller
from audiomatch_whisper.text.tokenizer import ENGLISH
from audiomatch_whisper.text.vocabulary import Vocabulary

SILENCE_SECONDS = 1.0


class Scorer(nn.Module):
    """A Whisper and, where the score has one, its head.

    Attributes:
        whisper: the Whisper, with its tokenizer.
        model: its network.
        untrained: the network before it was trained, where the head asks for more than words and
            training has changed it; what training has not changed is shared.
        head: the logistic over `ScoreFeatures`, or the product over `complete_features`, or none.
        prompt: the ids before every text.
        room: how many tokens a text may have.
        spell: finds the other spellings of a text's words; None where it is read as it is written.
        frozen_layers: how many of the encoder's first layers are not trained, with the convolutions
            before them; None where all is trained.
        bf16: whether what no gradient is asked for, and an output matrix that is not trained,
            compute in bfloat16.
    """

    silence: Tensor

    def __init__(self, whisper: Whisper, config: WhisperConfig) -> None:
        super().__init__()
        self.whisper = whisper
        self.model = whisper.model
        self.untrained: WhisperNetwork | None = None
        self.head = head_of(config)
        tokenizer = whisper.tokenizer
        self.prompt = prompt_of(config, tokenizer)
        by_sound = config.spelling == "sound" and config.language == ENGLISH
        self.room = whisper.longest - len(self.prompt) - 1
        self.spell = Speller(tokenizer, self.room) if by_sound and self.head is not None else None
        layers, trained = self.model.config.encoder_layers, config.encoder_layers
        trained = -(-layers // 4) if trained == "quarter" else trained
        self.frozen_layers = None if trained == "all" else max(0, layers - trained)
        self.bf16 = False
        quiet = np.zeros(int(SILENCE_SECONDS * SAMPLE_RATE), dtype=np.float32)
        silence = torch.from_numpy(log_mel(quiet, whisper.extractor, config.margin))[None]
        self.register_buffer("silence", silence, persistent=False)  # (1, mels, frames)
        self._silent_states: Ragged | None = None
        self._silence = Silence()
        self._placed: tuple[torch.device, str, bool, bool] | None = None
        self._in_bf16: dict[WhisperNetwork, WhisperNetwork] = {}  # once nothing trains them
        self._normaliser: QuantisedNormaliser | None = None
        self._may_bf16 = config.bf16 == "auto"
        self._matrix_is_trained = config.embeddings == "trained"

    @property
    def complete(self) -> bool:
        """Whether the head is the product, and all of it is asked.

        With gradients it is the words' part alone: a Whisper that is trained by planted answers
        tells others worse.
        """
        return isinstance(self.head, ProductHead) and not torch.is_grad_enabled()

    @property
    def asked(self) -> WhisperNetwork | None:
        """The network before it was trained, where all of the head is asked."""
        return self.untrained if self.complete else None

    def place(self, compute: Compute) -> Scorer:
        """Move to the device, and see what it computes natively."""
        trains = any(one.requires_grad for one in self.model.parameters())
        how = (compute.device, compute.precision, compute.native_bf16, trains)
        if how == self._placed and self.model.device == compute.device:
            return self
        self._placed, self._silent_states = how, None
        self._silence.begin(keep=not trains, texts=compute.device.type == "cpu")
        self.bf16 = self._may_bf16 and compute.native_bf16
        own = self.to(compute.device)
        networks = (self.model, self.untrained) if self.bf16 and not trains else ()
        self._in_bf16 = {one: in_bfloat16(one) for one in networks if one is not None}
        if not self.bf16 or self._matrix_is_trained:
            self._normaliser = None
        elif self._normaliser is None:
            matrix = self.model.proj_out.weight
            self._normaliser = QuantisedNormaliser(matrix, compute.native_int8)
        return own

    def _computed(self, model: WhisperNetwork) -> WhisperNetwork:
        """Return a network in the format that it computes in."""
        return self._in_bf16.get(model, model)

    def autocast(self) -> AbstractContextManager[object]:
        """What no gradient is asked for computes in bfloat16 where `bf16` says so."""
        if not self.bf16 or torch.is_grad_enabled():
            return nullcontext()
        return torch.autocast(self.model.device.type, torch.bfloat16)

    def encode_frozen(self, mels: Sequence[Tensor]) -> Ragged:
        """Run what is not trained of the encoder.

        Args:
            mels: log-mel of clips of one length each, (n, mels, frames).

        Returns:
            What `encode_trained` takes, (frames / 2, d) of each clip: float16, in which they are
            kept; where all is trained float32, and where `untrained` is asked too with its states
            beside them, (frames / 2, 2 d).
        """
        trained = self.frozen_layers is None and torch.is_grad_enabled()
        with torch.set_grad_enabled(trained), self.autocast():
            encoder = self._computed(self.model).model.encoder
            states = encode_first_layers(encoder, mels, self.frozen_layers or 0)
            if self.frozen_layers is None:
                flat = states.flat.float()
                if self.asked is not None:
                    encoder = self._computed(self.asked).model.encoder
                    before = encode_first_layers(encoder, mels, 0)
                    flat = torch.cat([flat, before.flat.float()], 1)
                return states.with_flat(flat)
            most = torch.finfo(torch.float16).max
            return states.with_flat(states.flat.clamp(-most, most).half())

    @cached_property
    def frozen_digest(self) -> str:
        """SHA-256 of the weights that `encode_frozen` runs where not all of the encoder is trained.

        Training leaves it: what it computes for one model others may take.
        """
        return digest_of_first_layers(self.whisper.encoder, self.frozen_layers)

    def encode_trained(self, states: Ragged) -> CrossAttentionCache:
        """Run the rest of the encoder, and compute the decoder's keys and values of its states."""
        own = before = states.with_flat(states.flat.float())
        if self.frozen_layers is None and self.asked is not None:
            own, before = (states.with_flat(half) for half in states.flat.chunk(2, dim=1))
        with self.autocast():
            cache = self._last_layers(self.model, own)
            if self.asked is not None:
                cache = replace(cache, untrained=self._last_layers(self.asked, before))
            return cache

    def _last_layers(self, model: WhisperNetwork, states: Ragged) -> CrossAttentionCache:
        model = self._computed(model)
        states = encode_last_layers(model.model.encoder, states, self.frozen_layers or 0)
        return CrossAttentionCache.of(model.model.decoder, states)

    def score_silence(self, targets: Sequence[Target]) -> Tensor:
        """Return each token's log probability given silence, (n, maximum), as a constant."""
        return self._silence.log_p(targets, self._given_silence, self._of_silence)

    def _given_silence(self, targets: Sequence[Target], silence: CrossAttentionCache) -> Tensor:
        one_clip = np.zeros(len(targets), dtype=np.int64)
        with self.autocast():
            batch = TargetBatch.of(targets, self.model.device, one_clip)
            return score_tokens(self._computed(self.model), batch, silence, self._normaliser)

    def _of_silence(self) -> CrossAttentionCache:
        """Encode a clip in which nobody speaks."""
        if self._silent_states is None or self.frozen_layers is None:
            self._silent_states = self.encode_frozen([self.silence])
        return self.encode_trained(self._silent_states)

    @cached_property
    def _vocabulary(self) -> Vocabulary:
        return Vocabulary(self.whisper.tokenizer)

    def read(
        self,
        cache: CrossAttentionCache,
        targets: Sequence[Target],
        owner: NDArray[np.int64] | None = None,
        silent: Tensor | None = None,
    ) -> tuple[Tensor, list[Target]]:
        """Return what the logit is made of, (n, features), and the texts as they were read.

        Without a head it is the mean logit of each token at its own position, (n,).
        Without gradients a text is read anew where other spellings of its words are likelier than
        those that are written: what follows is then judged after the likelier ones.

        Args:
            cache: of the clips.
            targets: the texts that are scored.
            owner: the clip of each text, rising; text i's is clip i where None.
            silent: what `score_silence` gives for these texts; computed where None and a head
                needs it.
        """
        owner = np.arange(len(targets)) if owner is None else owner
        found, read = self._read_as_heard(cache, targets, owner, silent)
        return self._with_insertions(found, cache, read, owner), read

    def _read_as_heard(
        self,
        cache: CrossAttentionCache,
        targets: Sequence[Target],
        owner: NDArray[np.int64],
        silent: Tensor | None,
    ) -> tuple[Tensor, list[Target]]:
        """Return the features without insertions, each text in the likeliest spelling, and it."""
        found, likeliest = self._read_as_written(cache, targets, owner, silent)
        read = list(targets)
        if likeliest is None or torch.is_grad_enabled():
            return found, read
        choices = likeliest.tolist()
        rows = [i for i, choice in enumerate(choices) if any(choice)]
        for i in rows:
            read[i] = targets[i].respelled(choices[i][: len(targets[i].spellings)])
        if rows:
            again, _ = self._read_as_written(cache, [read[i] for i in rows], owner[rows])
            found = found.index_copy(0, torch.tensor(rows).to(found.device), again)
        return found, read

    def _read_as_written(
        self,
        cache: CrossAttentionCache,
        targets: Sequence[Target],
        owner: NDArray[np.int64],
        silent: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Return the features, and the likeliest spelling of each word; see `Reading`."""
        batch = TargetBatch.of(targets, self.model.device, owner)
        if self.head is not None and silent is None:
            silent = self.score_silence(targets)
        with self.autocast():
            model, follow = self._computed(self.model), self.complete and self.asked is None
            hidden, following = decode_following(model, batch.tree, cache, follow=follow)
            same_position = same_position_logit(model, hidden, batch)
            if self.head is None or silent is None:
                return same_position, None
            reading = read_tokens(model, hidden, batch, self._normaliser)
            features = ScoreFeatures.of(reading.log_p, silent, same_position, batch)
            if not self.complete:
                return features.stacked(), reading.likeliest
            log_p = reading.log_p
            if self.asked is not None:
                assert cache.untrained is not None
                model = self._computed(self.asked)
                hidden, following = decode_following(model, batch.tree, cache.untrained)
                log_p = read_tokens(model, hidden, batch, self._normaliser).log_p
            lead = end_logit_lead(model, hidden, batch)
            times = speaking_times(following, targets, batch, cache)
            complete = complete_features(features, log_p, lead, times, batch)
            assert isinstance(self.head, ProductHead)
            return complete[:, : self.head.width_before], reading.likeliest

    def _with_insertions(
        self,
        found: Tensor,
        cache: CrossAttentionCache,
        targets: Sequence[Target],
        owner: NDArray[np.int64],
        asked: Tensor | None = None,
    ) -> Tensor:
        """Return the features with those of `Insertions`, where the head has parts for them.

        They are 0 for texts that `asked`, (n,) of bool, says no to.
        """
        if not (self.complete and isinstance(self.head, ProductHead) and self.head.further):
            return found
        model, before = self.model, cache
        silence = self._silence.heard(self._of_silence)
        if self.asked is not None:
            assert cache.untrained is not None and silence.untrained is not None
            model, before, silence = self.asked, cache.untrained, silence.untrained
        with self.autocast():
            gaps = GapReader(self._computed(model), self._vocabulary, self._normaliser, silence)
            return torch.cat([found, insertions(gaps, before, targets, owner, asked)], 1)

    def forward(
        self,
        cache: CrossAttentionCache,
        targets: Sequence[Target],
        owner: NDArray[np.int64] | None = None,
        silent: Tensor | None = None,
    ) -> Tensor:
        """Return the logit of match of each text, (n,); see `read`.

        Where all that speaks against a text is that more was said, it may have been said twice: it
        is read as such too, and the likelier counts.
        """
        owner = np.arange(len(targets)) if owner is None else owner
        found, read = self._read_as_heard(cache, targets, owner, silent)
        if self.head is None:
            return found
        head = self.head if isinstance(self.head, ProductHead) and self.complete else None
        if head is not None and head.further:
            found = self._with_insertions(found, cache, read, owner, head.undecided(found))
        logits: Tensor = self.head(found)
        if head is None:
            return logits
        rows = torch.nonzero(head.only_more(found))[:, 0].tolist()
        rows = [i for i in rows if 2 * len(targets[i].tokens) < self.room]
        if not rows:
            return logits
        twice, _ = self.read(cache, [targets[i].twice() for i in rows], owner[rows])
        at = torch.tensor(rows).to(logits.device)
        return logits.index_copy(0, at, torch.maximum(logits[at], head(twice)))
