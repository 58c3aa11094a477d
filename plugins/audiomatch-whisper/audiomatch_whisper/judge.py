"""A Whisper with its head: from clips and texts to logits of match."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from audiomatch_torch import Compute
from numpy.typing import NDArray
from torch import Tensor, nn

from audiomatch.audio import SAMPLE_RATE
from audiomatch.clips import Clips
from audiomatch_whisper.config import WhisperConfig
from audiomatch_whisper.evidence import NAMES, evidence, log_p_in_silence, same_position
from audiomatch_whisper.features import log_mel
from audiomatch_whisper.head import Head
from audiomatch_whisper.loading import Backbone
from audiomatch_whisper.network import Memory, decode, lower_layers, upper_layers
from audiomatch_whisper.normaliser import FixedNormaliser
from audiomatch_whisper.ragged import Ragged
from audiomatch_whisper.texts import Text, TextBatch, texts_of

SILENCE_SECONDS = 1.0


class Judge(nn.Module):
    """A Whisper and, where the score has one, its head.

    Attributes:
        prompt: the ids before every text.
        fixed_layers: how many of the encoder's first layers are not trained, with the convolutions
            before them; None where all is trained.
        bf16: whether what no gradient is asked for, and an output matrix that is not trained,
            compute in bfloat16.
    """

    def __init__(self, backbone: Backbone, config: WhisperConfig) -> None:
        super().__init__()
        self.backbone = backbone
        self.whisper = backbone.model
        self.head = Head(len(NAMES)) if config.score == "head" else None
        text = backbone.text
        self.prompt = text.own_prompt if config.prompt == "own" else text.prompt
        layers, trained = self.whisper.config.encoder_layers, config.encoder_layers
        trained = -(-layers // 4) if trained == "quarter" else trained
        self.fixed_layers = None if trained == "all" else max(0, layers - trained)
        self.bf16 = False
        quiet = np.zeros(int(SILENCE_SECONDS * SAMPLE_RATE), dtype=np.float32)
        self._silence = torch.from_numpy(log_mel(quiet, backbone.extractor, config.margin))[None]
        self._normaliser: FixedNormaliser | None = None
        self._may_bf16 = config.bf16 == "auto"
        self._matrix_is_trained = config.embeddings == "trained"

    def place(self, compute: Compute) -> Judge:
        """Move to the device, and see what it computes natively."""
        self.bf16 = self._may_bf16 and compute.native_bf16
        own = self.to(compute.device)
        fixed = self.bf16 and not self._matrix_is_trained
        if not fixed:
            self._normaliser = None
        elif self._normaliser is None:
            matrix = self.whisper.proj_out.weight
            self._normaliser = FixedNormaliser(matrix, compute.native_int8)
        return own

    def freeze(self, embeddings: bool) -> None:
        """Leave what is not trained without gradients: lower layers, perhaps the embeddings."""
        encoder = self.whisper.model.encoder
        encoder.embed_positions.requires_grad_(False)
        self.whisper.proj_out.requires_grad_(embeddings)
        if self.fixed_layers is not None:
            encoder.requires_grad_(False)
            for layer in encoder.layers[self.fixed_layers :]:
                layer.requires_grad_(True)
            encoder.layer_norm.requires_grad_(self.fixed_layers < len(encoder.layers))

    def texts(self, clips: Clips) -> list[Text]:
        """Return the text of each clip; raises `UserError` where the decoder cannot hold one."""
        most = self.whisper.config.max_target_positions
        return texts_of(clips, self.backbone.text, self.prompt, most)

    def batch(self, texts: Sequence[Text], owner: NDArray[np.int64] | None = None) -> TextBatch:
        """Stack texts on the device; see `TextBatch.of`."""
        return TextBatch.of(texts, len(self.prompt), self.whisper.device, owner)

    def autocast(self) -> AbstractContextManager[Any]:
        """What no gradient is asked for computes in bfloat16 where `bf16` says so.

        Weights are made bfloat16 once within the outermost of such contexts.
        """
        if not self.bf16 or torch.is_grad_enabled():
            return nullcontext()
        return torch.autocast(self.whisper.device.type, torch.bfloat16)

    def lower(self, mels: Sequence[Tensor]) -> Ragged:
        """Run what is not trained: log-mel, (n, mels, frames) of each length, to `hear`'s."""
        trained = self.fixed_layers is None and torch.is_grad_enabled()
        with torch.set_grad_enabled(trained), self.autocast():
            lower = lower_layers(self.whisper, mels, self.fixed_layers or 0)
            return lower.but(lower.flat.float())

    def hear(self, lower: Ragged) -> Memory:
        """Run the rest of the encoder, and what the decoder makes of its states."""
        with self.autocast():
            states = upper_layers(self.whisper, lower, self.fixed_layers or 0)
            return Memory.of(self.whisper, states)

    @torch.no_grad()
    def unheard(self, texts: Sequence[Text]) -> Tensor:
        """Return each token's log probability in silence, (n, most), as a constant."""
        one_clip = np.zeros(len(texts), dtype=np.int64)
        with self.autocast():
            memory = self.hear(self.lower([self._silence.to(self.whisper.device)]))
            batch = self.batch(texts, one_clip)
            return log_p_in_silence(self.whisper, batch, memory, self._normaliser)

    def evidence(
        self,
        memory: Memory,
        texts: Sequence[Text],
        owner: NDArray[np.int64] | None = None,
        unheard: Tensor | None = None,
    ) -> Tensor:
        """Return what the score is made of: (n, names), or (n,) without a head.

        Args:
            memory: of the clips.
            texts: what they are asked about.
            owner: the clip of each text, rising; text i's is clip i where None.
            unheard: what `unheard` gives for these texts; computed where None and a head needs it.
        """
        batch = self.batch(texts, owner)
        if self.head is not None and unheard is None:
            unheard = self.unheard(texts)
        with self.autocast():
            if unheard is None:
                hidden = decode(self.whisper, batch.reading, memory)
                return same_position(self.whisper, hidden, batch)
            return evidence(self.whisper, batch, memory, unheard, self._normaliser)

    def forward(
        self,
        memory: Memory,
        texts: Sequence[Text],
        owner: NDArray[np.int64] | None = None,
        unheard: Tensor | None = None,
    ) -> Tensor:
        """Return the logit of match of each text, (n,); see `evidence`."""
        found = self.evidence(memory, texts, owner, unheard)
        return found if self.head is None else self.head(found)
