"""Many texts against one clip, whose keys and values are made once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from transformers import WhisperForConditionalGeneration

from audiomatch_whisper.network import Memory, decode
from audiomatch_whisper.ragged import Reading
from audiomatch_whisper.tokens import TextEncoder


class Listener:
    """A decoder that listens to one clip.

    Attributes:
        model: the Whisper.
        text: its tokenizer.
        prompt: the ids before every text.
        memory: of the clip.
    """

    def __init__(
        self,
        model: WhisperForConditionalGeneration,
        text: TextEncoder,
        prompt: tuple[int, ...],
        memory: Memory,
    ) -> None:
        self.model, self.text, self.prompt, self.memory = model, text, prompt, memory

    def hidden(self, texts: Sequence[Sequence[int]]) -> Tensor:
        """Return the decoder's states of each text with its prompt: (n, longest, d)."""
        one_clip = np.zeros(len(texts), dtype=np.int64)
        reading = Reading.of(texts, self.model.device, one_clip)
        return decode(self.model, reading, self.memory)[reading.path]

    def log_probs(self, hidden: Tensor) -> Tensor:
        """Return the log probability of every token after each state: (…, vocabulary), float32."""
        logits: Tensor = self.model.proj_out(hidden)
        return logits.float().log_softmax(-1)

    def tails(
        self, texts: Sequence[Sequence[int]], starts: Sequence[int], counts: Sequence[int]
    ) -> list[Tensor]:
        """Return for each text the log probabilities of `counts` tokens from `starts` on."""
        ends = [start + count for start, count in zip(starts, counts, strict=True)]
        # The last token is only predicted: it need not be read.
        hidden = self.hidden([text[: end - 1] for text, end in zip(texts, ends, strict=True)])
        states: list[Tensor] = []
        wanted: list[int] = []
        for i, (start, end) in enumerate(zip(starts, ends, strict=True)):
            states.append(hidden[i, start - 1 : end - 1])
            wanted.extend(texts[i][start:end])
        found = self.log_probs(torch.cat(states))
        index = torch.tensor(wanted, device=found.device)[:, None]
        return list(torch.split(found.gather(1, index)[:, 0].cpu(), list(counts)))
