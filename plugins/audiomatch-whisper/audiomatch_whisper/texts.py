"""Expected texts as the decoder reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiomatch.clips import Clips
from audiomatch.errors import UserError
from audiomatch_whisper.ragged import Reading
from audiomatch_whisper.tokens import TextEncoder
from audiomatch_whisper.words import spoken_text


@dataclass(frozen=True)
class Text:
    """A text as the decoder reads it.

    Attributes:
        ids: the prompt, the text's tokens, and the end of text, int64.
        words: the number of the word that each of the text's own tokens belongs to, int64.
    """

    ids: NDArray[np.int64]
    words: NDArray[np.int64]

    @classmethod
    def of(cls, text: str, encoder: TextEncoder, prompt: tuple[int, ...]) -> Text:
        """Take a text apart."""
        spoken = spoken_text(text, encoder)
        each = np.diff([*spoken.first, len(spoken.ids)])
        words = np.repeat(np.arange(len(spoken.words)), each)
        return cls(np.array([*prompt, *spoken.ids, encoder.end]), words)


@dataclass(frozen=True)
class TextBatch:
    """Texts stacked, and how the decoder reads them.

    Attributes:
        wanted: each text's tokens and its end, (n, most), padded after.
        mask: (n, most), 1 where they are.
        words: the word of each token, (n, most).
        before: the node after which each token is expected, (n, most).
        at: the node of each token itself, (n, most); any node at the end, which is not read.
        reading: the prompts and texts, as the nodes that `before` and `at` name.
        prompt: how many tokens come before each text.
    """

    wanted: Tensor
    mask: Tensor
    words: Tensor
    before: Tensor
    at: Tensor
    reading: Reading
    prompt: int

    @classmethod
    def of(
        cls,
        texts: Sequence[Text],
        prompt: int,
        device: torch.device,
        owner: NDArray[np.int64] | None = None,
    ) -> TextBatch:
        """Stack texts, each with `prompt` tokens before it; `owner` is that of `Reading.of`."""
        most = max(len(text.words) for text in texts) + 1
        wanted = np.zeros((len(texts), most), dtype=np.int64)
        words = np.zeros_like(wanted)
        mask = np.zeros(wanted.shape, dtype=np.float32)
        for i, text in enumerate(texts):
            count = len(text.words)
            wanted[i, : count + 1] = text.ids[prompt:]
            words[i, :count] = text.words
            mask[i, : count + 1] = 1
        # The end is only expected, never read.
        reading = Reading.of([text.ids[:-1].tolist() for text in texts], device, owner)
        before = reading.path[:, prompt - 1 :]
        return cls(
            *(torch.from_numpy(x).to(device) for x in (wanted, mask, words)),
            before,
            torch.cat([before[:, 1:], before[:, -1:]], 1),
            reading,
            prompt,
        )

    @property
    def last(self) -> Tensor:
        """The place of each text's end, (n, 1)."""
        return self.mask.sum(1, keepdim=True).long() - 1

    @property
    def own(self) -> Tensor:
        """1 at the text's tokens, 0 at its end and after: (n, most)."""
        return self.mask.scatter(1, self.last, 0.0)


def texts_of(clips: Clips, encoder: TextEncoder, prompt: tuple[int, ...], most: int) -> list[Text]:
    """Return the text of each clip; clips of the same text share one.

    Raises `UserError` where a text, with its prompt and end, has over `most` tokens.
    """
    known: dict[str, Text] = {}
    for i, text in enumerate(clips.texts):
        if text in known:
            continue
        known[text] = Text.of(text, encoder, prompt)
        tokens, room = len(known[text].words), most - len(prompt) - 1
        if tokens > room:
            raise UserError(
                f"{clips.where(i)}: expected_text has {tokens} tokens; "
                f"this Whisper's decoder holds {room}"
            )
    return [known[text] for text in clips.texts]
