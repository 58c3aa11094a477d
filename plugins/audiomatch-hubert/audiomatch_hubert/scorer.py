"""The model and its head: from rows of clips to evidence, losses and logits."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from audiomatch_torch import Compute, Encoded, encode_once, predict
from numpy.typing import NDArray
from torch import Tensor, nn

from audiomatch.clips import Clips
from audiomatch_hubert.ctc import evidence
from audiomatch_hubert.features import Sounds
from audiomatch_hubert.head import EvidenceHead
from audiomatch_hubert.loading import CTCModel

Rows = NDArray[np.int64]


class CTCScorer(nn.Module):
    """A CTC model and the head that makes a logit of its evidence.

    The head stays on the CPU, where CTC is computed.
    """

    def __init__(self, model: CTCModel) -> None:
        super().__init__()
        self.model = model
        self.ctc: Any = model.network
        self.head = EvidenceHead()

    def hidden(self, inputs: Tensor, mask: Tensor | None) -> Tensor:
        """Run the encoder: inputs and mask of equal length to hidden states (n, t, d)."""
        encoder = getattr(self.ctc, self.ctc.base_model_prefix)
        states: Tensor = encoder(inputs, attention_mask=mask)[0]
        return states

    def log_probs(self, hidden: Tensor) -> Tensor:
        """Hidden states to the log probabilities of the characters and the blank (n, t, v)."""
        logits: Tensor = self.ctc.lm_head(self.ctc.dropout(hidden))
        return logits.float().log_softmax(-1)

    def freeze(self, what: str) -> None:
        """Take the waveform's convolutions (`features`) or all but the CTC layer (`encoder`)."""
        if what == "encoder":
            getattr(self.ctc, self.ctc.base_model_prefix).requires_grad_(requires_grad=False)
        elif what == "features" and hasattr(self.ctc, "freeze_feature_encoder"):
            self.ctc.freeze_feature_encoder()


class ScoredClips:
    """Clips as a scorer takes them.

    Attributes:
        seconds: how long each clip is with its padding, float64 (n,).
        capacity: the most padded seconds in one forward pass.
    """

    def __init__(
        self, scorer: CTCScorer, clips: Clips, seconds_at_once: float | None, compute: Compute
    ) -> None:
        self.scorer, self.compute = scorer, compute
        model = scorer.model
        self.texts = [model.alphabet.encode(text) for text in clips.texts]
        unread = sum(len(text) == 0 for text in self.texts)
        if unread:
            compute.run.note(texts_without_known_characters=unread)
        self.sounds = Sounds(clips, model.extractor, compute.run)
        self.seconds = self.sounds.seconds
        # transformers' own arithmetic of strides; it has no public name.
        frames = scorer.ctc._get_feat_extract_output_lengths  # noqa: SLF001
        self.frames: Tensor = frames(torch.from_numpy(self.sounds.sizes)).long()
        self.capacity = compute.capacity(seconds_at_once)
        self._kept: Encoded | None = None

    def hidden(self, rows: Rows) -> Tensor:
        """Return the encoder's hidden states (rows, t, d)."""
        if self._kept is not None:
            return self._kept.stack(rows)
        device = self.compute.device
        inputs, mask = self.sounds(rows)
        return self.scorer.hidden(inputs.to(device), None if mask is None else mask.to(device))

    def __call__(self, rows: Rows) -> tuple[Tensor, Tensor]:
        """Return evidence (rows, 3) and CTC loss a character (rows,) of equally long rows."""
        log_probs = self.scorer.log_probs(self.hidden(rows))
        texts = [self.texts[i] for i in rows]
        frames = self.frames[torch.from_numpy(rows)].clamp(max=log_probs.shape[1])
        return evidence(log_probs, texts, frames, self.scorer.model.blank)

    def evidence(self, label: str) -> NDArray[np.float64]:
        """Return the evidence of every clip, (n, 3), without training anything."""
        self.scorer.eval()
        return predict(
            lambda rows: self(rows)[0],
            self.seconds,
            self.compute,
            capacity=self.capacity,
            shared=True,
            label=label,
        )

    def keep_hidden(self) -> None:
        """Run the encoder once a clip; from then on its hidden states are read from memory."""
        self.scorer.eval()
        self._kept = encode_once(self.hidden, self.seconds, self.compute, capacity=self.capacity)
