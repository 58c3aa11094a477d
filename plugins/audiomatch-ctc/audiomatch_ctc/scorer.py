"""The model and its head: from rows of clips to evidence, losses and logits."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import torch
from audiomatch_torch import Compute, Encoded, encode_once, predict
from numpy.typing import NDArray
from torch import Tensor, nn

from audiomatch.clips import Clips
from audiomatch.errors import WeightsError
from audiomatch_ctc.ctc import evidence
from audiomatch_ctc.features import Sounds
from audiomatch_ctc.head import EvidenceHead
from audiomatch_ctc.loading import CTCModel

MOST_NAMED = 10
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

    def train(self, mode: bool = True) -> Self:
        """Keep batch normalisation (conformers) as it was trained: batch mates change nothing."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm1d):
                module.eval()
        return self

    def hidden(self, inputs: Tensor, mask: Tensor | None) -> Tensor:
        """Run the encoder: inputs and mask of equal length to hidden states (n, t, d)."""
        states: Tensor = self.model.encoder(inputs, attention_mask=mask)[0]
        return states

    def log_probs(self, hidden: Tensor) -> Tensor:
        """Hidden states to the log probabilities of the units and the blank (n, t, v)."""
        dropout = getattr(self.ctc, "dropout", nn.Identity())
        logits: Tensor = self.model.head(dropout(hidden))
        return logits.float().log_softmax(-1)

    def frames(self, sizes: Tensor) -> Tensor:
        """Return how many frames inputs of these sizes have, int64 (n,)."""
        # transformers' own arithmetic of strides; it has no public name.
        for name in ("_get_feat_extract_output_lengths", "_get_subsampling_output_length"):
            if hasattr(self.ctc, name):
                found: Tensor = getattr(self.ctc, name)(sizes)
                return found.long()
        raise WeightsError(f"{type(self.ctc).__name__} does not tell how many frames it has")

    def freeze(self, what: str) -> None:
        """Take the waveform's convolutions (`features`) or all but the CTC layer (`encoder`)."""
        if what == "encoder":
            self.model.encoder.requires_grad_(requires_grad=False)
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
        self.spellings = [model.units.encode(text) for text in clips.texts]
        self.texts = [spelling.ids for spelling in self.spellings]
        self._note_left_out(clips)
        self.sounds = Sounds(clips, model.extractor, compute.run)
        self.seconds = self.sounds.seconds
        self.frames = scorer.frames(torch.from_numpy(self.sounds.sizes))
        self.capacity = compute.capacity(seconds_at_once)
        self._kept: Encoded | None = None

    def _note_left_out(self, clips: Clips) -> None:
        """Keep with the results which words of the texts the model cannot write."""
        both = zip(self.spellings, clips.texts, strict=True)
        words = sorted({word for spelling, text in both for word in spelling.left_out(text)})
        unread = sum(len(text) == 0 for text in self.texts)
        if words:
            named = ", ".join(words[:MOST_NAMED]) + (", …" if len(words) > MOST_NAMED else "")
            line = f"has no units for {len(words)} words of the texts and leaves them out: {named}"
            warning = self.compute.run.notes.get("warning", line)
            self.compute.run.note(words_left_out=words, texts_left_out=unread, warning=warning)

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

    def log_probs(self, row: int) -> Tensor:
        """Return the log probabilities of one clip's own frames, (t, v) on the CPU."""
        found = self.scorer.log_probs(self.hidden(np.array([row])))[0]
        return found[: int(self.frames[row])].cpu()

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
