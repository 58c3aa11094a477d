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
    """Texts stacked, each with `prompt` tokens before it.

    Attributes:
        ids: (n, most), padded after.
        mask: (n, most), 1 where the ids are.
        words: the word of each token after the prompt, (n, most - prompt).
        prompt: how many tokens come before the texts.
    """

    ids: Tensor
    mask: Tensor
    words: Tensor
    prompt: int

    @classmethod
    def of(
        cls, texts: Sequence[Text], prompt: int, padding: int, device: torch.device
    ) -> TextBatch:
        """Stack texts, filled up with `padding`."""
        ids, mask = pad_ids([text.ids for text in texts], padding)
        words = torch.zeros(len(texts), ids.shape[1] - prompt, dtype=torch.int64)
        for i, text in enumerate(texts):
            words[i, : len(text.words)] = torch.from_numpy(text.words)
        return cls(ids.to(device), mask.to(device), words.to(device), prompt)

    @property
    def last(self) -> Tensor:
        """The place in `ids` of each text's end, (n, 1)."""
        return self.mask.sum(1, keepdim=True).long() - 1

    @property
    def own(self) -> Tensor:
        """1 at the text's tokens, 0 at its end and after: (n, most - prompt)."""
        return self.mask.scatter(1, self.last, 0.0)[:, self.prompt :]


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


def pad_ids(texts: Sequence[NDArray[np.int64]], padding: int) -> tuple[Tensor, Tensor]:
    """Stack ids of unequal number: ids (n, most) and a mask (n, most) that is 1 where they are."""
    most = max(map(len, texts))
    ids = torch.full((len(texts), most), padding)
    mask = torch.zeros(len(texts), most)
    for i, text in enumerate(texts):
        ids[i, : len(text)] = torch.from_numpy(text)
        mask[i, : len(text)] = 1
    return ids, mask
