"""A Whisper with its head: from clips and texts to logits of match."""

from __future__ import annotations

import numpy as np
import torch
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

SILENCE_SECONDS = 2.0


class Judge(nn.Module):
    """A Whisper and, where the score has one, its head.

    Attributes:
        prompt: the ids before every text.
        fixed_layers: how many of the encoder's first layers are not trained, with the convolutions
            before them; None where all is trained.
    """

    def __init__(self, backbone: Backbone, config: WhisperConfig) -> None:
        super().__init__()
        self.backbone = backbone
        self.whisper = backbone.model
        self.head = Head(len(NAMES)) if config.score == "head" else None
        text = backbone.text
        self.prompt = text.own_prompt if config.prompt == "own" else text.prompt
        layers = self.whisper.config.encoder_layers
        self.fixed_layers = (
            None if config.encoder_layers == "all" else max(0, layers - config.encoder_layers)
        )
        quiet = np.zeros(int(SILENCE_SECONDS * SAMPLE_RATE), dtype=np.float32)
        self._silence = torch.from_numpy(log_mel(quiet, backbone.extractor, config.margin))[None]

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
        return (
            mel if self.fixed_layers is None else lower_layers(self.whisper, mel, self.fixed_layers)
        )

    def states(self, lower: Tensor) -> Tensor:
        """Run the rest of the encoder: encoder states (n, s, d)."""
        if self.fixed_layers is None:
            return encode(self.whisper, lower)
        return upper_layers(self.whisper, lower, self.fixed_layers)

    @torch.no_grad()
    def unheard(self, texts: TextBatch) -> Tensor:
        """Return each token's log probability in silence, (n, most - prompt), as a constant."""
        states = self.states(self.lower(self._silence.to(self.whisper.device)))
        return log_p_in_silence(self.whisper, texts, Memory.of(self.whisper, states))

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
        memory = Memory.of(self.whisper, states)
        if self.head is None:
            hidden = decode(self.whisper, texts.ids, memory, owner)
            return same_position(self.whisper, hidden, texts)
        if unheard is None:
            unheard = self.unheard(texts)
        return evidence(self.whisper, texts, memory, unheard, owner)

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
