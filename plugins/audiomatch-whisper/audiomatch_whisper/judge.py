"""A Whisper with its head: from clips and texts to logits of match."""

from __future__ import annotations

from collections.abc import Callable

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
from audiomatch_whisper.network import Memory, decode, encode, lower_layers, upper_layers
from audiomatch_whisper.texts import Text, TextBatch, texts_of

SILENCE_SECONDS = 1.0


class Judge(nn.Module):
    """A Whisper and, where the score has one, its head.

    Attributes:
        prompt: the ids before every text.
        fixed_layers: how many of the encoder's first layers are not trained, with the convolutions
            before them; None where all is trained.
        bf16: whether the encoder, where no gradient is asked for, and an output matrix that is
            not trained compute in bfloat16.
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
        self._matrix: Tensor | None = None
        self._may_bf16 = config.bf16 == "auto"
        self._matrix_is_trained = config.embeddings == "trained"

    def place(self, compute: Compute) -> Judge:
        """Move to the device, and see what it computes natively."""
        self.bf16 = self._may_bf16 and compute.native_bf16
        own = self.to(compute.device)
        fixed = self.bf16 and not self._matrix_is_trained
        self._matrix = self.whisper.proj_out.weight.detach().bfloat16() if fixed else None
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

    def batch(self, texts: list[Text]) -> TextBatch:
        """Stack texts on the device."""
        device = self.whisper.device
        return TextBatch.of(texts, len(self.prompt), self.backbone.text.end, device)

    def lower(self, mel: Tensor) -> Tensor:
        """Run what is never trained: log-mel to what `states` takes."""
        if self.fixed_layers is None:
            return mel
        count = self.fixed_layers
        return self._encoded(lambda x: lower_layers(self.whisper, x, count), mel)

    def states(self, lower: Tensor) -> Tensor:
        """Run the rest of the encoder: encoder states (n, s, d)."""
        if self.fixed_layers is None:
            return self._encoded(lambda x: encode(self.whisper, x), lower)
        count = self.fixed_layers
        return self._encoded(lambda x: upper_layers(self.whisper, x, count), lower)

    def _memory(self, states: Tensor) -> Memory:
        if not self.bf16 or torch.is_grad_enabled():
            return Memory.of(self.whisper, states)
        with torch.autocast(states.device.type, torch.bfloat16):
            return Memory.of(self.whisper, states).to(torch.float32)

    def _encoded(self, run: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        if not self.bf16 or torch.is_grad_enabled():
            return run(x)
        with torch.autocast(x.device.type, torch.bfloat16):
            return run(x).float()

    @torch.no_grad()
    def unheard(self, texts: TextBatch) -> Tensor:
        """Return each token's log probability in silence, (n, most - prompt), as a constant."""
        states = self.states(self.lower(self._silence.to(self.whisper.device)))
        memory = self._memory(states)
        return log_p_in_silence(self.whisper, texts, memory, self._matrix)

    def evidence(
        self,
        states: Tensor,
        texts: TextBatch,
        owner: NDArray[np.int64] | None = None,
        unheard: Tensor | None = None,
    ) -> Tensor:
        """Return what the score is made of: (n, names), or (n,) without a head.

        Args:
            states: of the encoder, (clips, s, d).
            texts: (n, …).
            owner: the clip of each text, rising; text i's is clip i where None.
            unheard: what `unheard` gives for these texts; computed where None and a head needs it.
        """
        memory = self._memory(states)
        if self.head is None:
            hidden = decode(self.whisper, texts.ids, memory, owner)
            return same_position(self.whisper, hidden, texts)
        if unheard is None:
            unheard = self.unheard(texts)
        return evidence(self.whisper, texts, memory, unheard, owner, self._matrix)

    def forward(
        self,
        states: Tensor,
        texts: TextBatch,
        owner: NDArray[np.int64] | None = None,
        unheard: Tensor | None = None,
    ) -> Tensor:
        """Return the logit of match of each text, (n,); see `evidence`."""
        found = self.evidence(states, texts, owner, unheard)
        return found if self.head is None else self.head(found)
