"""The model and its head: from rows of clips to evidence, losses and logits."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from audiomatch_torch import Compute, predict
from numpy.typing import NDArray
from torch import Tensor, nn

from audiomatch.clips import Clips
from audiomatch.matcher import Run
from audiomatch_hubert.ctc import evidence
from audiomatch_hubert.features import Inputs
from audiomatch_hubert.head import Head
from audiomatch_hubert.loading import Backbone

CPU_SECONDS_AT_ONCE = 60.0

Rows = NDArray[np.int64]


class Judge(nn.Module):
    """A CTC model and the head that makes a probability of its evidence.

    The head stays on the CPU, where CTC is computed.
    """

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone
        self.ctc: Any = backbone.model
        self.head = Head()

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
            getattr(self.ctc, self.ctc.base_model_prefix).requires_grad_(False)
        elif what == "features" and hasattr(self.ctc, "freeze_feature_encoder"):
            self.ctc.freeze_feature_encoder()


class View:
    """Clips as a judge sees them.

    Attributes:
        seconds: how long each clip is with its padding, float64 (n,).
        capacity: the most padded seconds in one forward pass.
    """

    def __init__(
        self, judge: Judge, clips: Clips, seconds_at_once: float | None, compute: Compute, run: Run
    ) -> None:
        self.judge, self.compute, self.run = judge, compute, run
        backbone = judge.backbone
        self.texts = [backbone.alphabet.encode(text) for text in clips.texts]
        unread = sum(len(text) == 0 for text in self.texts)
        if unread:
            run.note(texts_without_known_characters=unread)
        self.inputs = Inputs(clips, backbone.extractor, run)
        self.seconds = self.inputs.seconds
        lengths = judge.ctc._get_feat_extract_output_lengths(torch.from_numpy(self.inputs.sizes))
        self.frames = lengths.long()
        self.capacity = seconds_at_once
        if seconds_at_once is None and compute.device.type == "cpu":
            self.capacity = CPU_SECONDS_AT_ONCE
        self._hidden: list[Tensor] | None = None

    def hidden(self, rows: Rows) -> Tensor:
        """Return the encoder's hidden states (rows, t, d)."""
        device = self.compute.device
        if self._hidden is not None:
            return torch.stack([self._hidden[i] for i in rows]).to(device)
        inputs, mask = self.inputs(rows)
        return self.judge.hidden(inputs.to(device), None if mask is None else mask.to(device))

    def __call__(self, rows: Rows) -> tuple[Tensor, Tensor]:
        """Return evidence (rows, 3) and CTC loss a character (rows,) of equally long rows."""
        log_probs = self.judge.log_probs(self.hidden(rows))
        texts = [self.texts[i] for i in rows]
        frames = self.frames[torch.from_numpy(rows)].clamp(max=log_probs.shape[1])
        return evidence(log_probs, texts, frames, self.judge.backbone.blank)

    def evidence(self, label: str) -> NDArray[np.float64]:
        """Return the evidence of every clip, (n, 3), without training anything."""
        self.judge.eval()
        return predict(
            lambda rows: self(rows)[0],
            self.seconds,
            self.compute,
            self.run,
            capacity=self.capacity,
            label=label,
        )

    def keep_hidden(self) -> None:
        """Run the encoder once a clip; from then on its hidden states are read from memory."""
        kept: list[Tensor] = [torch.empty(0)] * len(self.texts)

        def keep(rows: Rows) -> Tensor:
            for i, states in zip(rows, self.hidden(rows).cpu(), strict=True):
                kept[i] = states.clone()
            return torch.zeros(len(rows))

        self.judge.eval()
        predict(keep, self.seconds, self.compute, self.run, capacity=self.capacity, label="encode")
        self._hidden = kept
