"""Expected texts as the decoder reads them and is to say them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiomatch.clips import Clips
from audiomatch.errors import UserError
from audiomatch_whisper.net.prefix_tree import PrefixTree
from audiomatch_whisper.net.weights import Whisper
from audiomatch_whisper.text.tokenizer import WhisperTokenizer
from audiomatch_whisper.text.words import TokenizedText


@dataclass(frozen=True)
class Target:
    """What the decoder reads and is to say.

    Attributes:
        prompt: the ids before the text.
        tokens: the ids that are scored; the last one, the end of text or the last that is asked
            about, is predicted and never read.
        words: the number of the word of each token but the last, int64.
    """

    prompt: tuple[int, ...]
    tokens: tuple[int, ...]
    words: NDArray[np.int64]

    @classmethod
    def of(cls, text: TokenizedText, prompt: tuple[int, ...], end: int) -> Target:
        """Ask about every token of a text and its end."""
        return cls(prompt, (*text.ids, end), text.word_of_token)

    @property
    def read(self) -> tuple[int, ...]:
        """What the decoder reads."""
        return (*self.prompt, *self.tokens[:-1])


@dataclass(frozen=True)
class TargetBatch:
    """Targets stacked, and the prefix tree in which the decoder reads them.

    Attributes:
        tokens: the tokens that are scored, (n, maximum), padded after.
        mask: (n, maximum), 1 where they are.
        words: the word of each token, (n, maximum).
        before: the node after which each token is expected, (n, maximum).
        at: the node of each token itself, (n, maximum); any node for the last, which is not read.
        tree: the prompts and tokens, as the nodes that `before` and `at` name.
        prompt: how many tokens come before each text.
    """

    tokens: Tensor
    mask: Tensor
    words: Tensor
    before: Tensor
    at: Tensor
    tree: PrefixTree
    prompt: int

    @classmethod
    def of(
        cls,
        targets: Sequence[Target],
        device: torch.device,
        owner: NDArray[np.int64] | None = None,
    ) -> TargetBatch:
        """Stack targets of one prompt; `owner` is that of `PrefixTree.of`."""
        prompt = len(targets[0].prompt)
        maximum = max(len(target.tokens) for target in targets)
        tokens = np.zeros((len(targets), maximum), dtype=np.int64)
        words = np.zeros_like(tokens)
        mask = np.zeros(tokens.shape, dtype=np.float32)
        for i, target in enumerate(targets):
            count = len(target.tokens)
            tokens[i, :count] = target.tokens
            words[i, : count - 1] = target.words
            mask[i, :count] = 1
        tree = PrefixTree.of([target.read for target in targets], device, owner)
        before = tree.paths[:, prompt - 1 :]  # (n, maximum)
        return cls(
            tokens=torch.from_numpy(tokens).to(device),
            mask=torch.from_numpy(mask).to(device),
            words=torch.from_numpy(words).to(device),
            before=before,
            at=torch.cat([before[:, 1:], before[:, -1:]], 1),
            tree=tree,
            prompt=prompt,
        )

    @property
    def last(self) -> Tensor:
        """The place of each target's last token, (n, 1)."""
        return self.mask.sum(1, keepdim=True).long() - 1

    @property
    def own(self) -> Tensor:
        """1 at the text's tokens, 0 at the last token and after: (n, maximum)."""
        return self.mask.scatter(1, self.last, 0.0)


@dataclass(frozen=True)
class ClipTexts:
    """The texts of some clips; clips of the same text share one.

    Attributes:
        texts: each as words and tokens.
        targets: each as the decoder reads it.
        of_clip: the text of each clip, (clips,).
    """

    texts: tuple[TokenizedText, ...]
    targets: tuple[Target, ...]
    of_clip: NDArray[np.int64]


def too_long(text: str, tokenizer: WhisperTokenizer, room: int) -> str | None:
    """Say that a text has more tokens than `room`, None where it has not."""
    if len(text.encode()) < room:  # a token is a byte at least, and a space comes first
        return None
    tokens = len(TokenizedText.of(text, tokenizer).ids)
    whose = "this Whisper's decoder holds"
    return f"expected_text has {tokens} tokens; {whose} {room}" if tokens > room else None


def refused_texts(
    clips: Clips, tokenizer: WhisperTokenizer, longest: int, prompt: Sequence[int]
) -> list[str | None]:
    """Say of each clip's text whether, with `prompt` and end, it has over `longest` tokens."""
    room = longest - len(prompt) - 1
    return [too_long(text, tokenizer, room) for text in clips.texts]


def texts_of(clips: Clips, whisper: Whisper, prompt: tuple[int, ...]) -> ClipTexts:
    """Tokenize the text of each clip.

    Raises `UserError` where a text, with `prompt` and end, has more tokens than the decoder holds.
    """
    number: dict[str, int] = {}
    texts: list[TokenizedText] = []
    room = whisper.longest - len(prompt) - 1
    for i, text in enumerate(clips.texts):
        if text in number:
            continue
        number[text] = len(texts)
        problem = too_long(text, whisper.tokenizer, room)
        if problem:
            raise UserError(f"{clips.where(i)}: {problem}")
        texts.append(TokenizedText.of(text, whisper.tokenizer))
    return ClipTexts(
        texts=tuple(texts),
        targets=tuple(Target.of(text, prompt, whisper.tokenizer.end) for text in texts),
        of_clip=np.array([number[text] for text in clips.texts], dtype=np.int64),
    )
