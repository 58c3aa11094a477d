"""Expected texts as the decoder reads them and is to say them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from audiomatch_torch import to_device
from numpy.typing import NDArray
from torch import Tensor

from audiomatch.clips import Clips
from audiomatch.errors import UserError
from audiomatch.text import letters
from audiomatch_whisper.config import WhisperConfig
from audiomatch_whisper.net.prefix_tree import PrefixTree
from audiomatch_whisper.net.weights import Whisper
from audiomatch_whisper.score.spellings import OtherSpelling, SpellingBatch
from audiomatch_whisper.text.tokenizer import Ids, WhisperTokenizer
from audiomatch_whisper.text.words import TokenizedText

Spell = Callable[[TokenizedText], tuple[tuple[Ids, ...], ...]]


def prompt_of(config: WhisperConfig, tokenizer: WhisperTokenizer) -> tuple[int, ...]:
    """Return the ids before every text, by the options `prompt` and `language`.

    Raises `UserError` for a language that the tokenizer does not know.
    """
    tokenizer = tokenizer.speaking(config.language)
    return tokenizer.own_prompt if config.prompt == "own" else tokenizer.prompt


@dataclass(frozen=True)
class Target:
    """What the decoder reads and is to say.

    Attributes:
        prompt: the ids before the text.
        tokens: the ids that are scored; the last one, the end of text or the last that is asked
            about, is predicted and never read.
        words: the number of the word of each token but the last, int64.
        spellings: of each word the tokens of other spellings that sound the same; empty where the
            text is read strictly as it is written.
        letters: how many letters each word has; empty where nobody asks for its pace.
    """

    prompt: Ids
    tokens: Ids
    words: NDArray[np.int64]
    spellings: tuple[tuple[Ids, ...], ...] = ()
    letters: tuple[int, ...] = ()

    @classmethod
    def of(cls, text: TokenizedText, prompt: Ids, end: int, spell: Spell | None = None) -> Target:
        """Ask about every token of a text and its end, in all the spellings that `spell` gives."""
        spellings = () if spell is None else spell(text)
        counts = tuple(len(letters(word)) for word in text.words)
        return cls(prompt, (*text.ids, end), text.word_of_token, spellings, counts)

    def respelled(self, choice: Sequence[int]) -> Target:
        """Return the target with other spellings of its words written.

        Args:
            choice: of each word the number of its spelling; 0 is the one that is written.
        """
        pairs = zip(self._written(), self.spellings, strict=True)
        known = [(written, *others) for written, others in pairs]
        chosen = [ids[i] for ids, i in zip(known, choice, strict=True)]
        tokens = (*(token for ids in chosen for token in ids), self.tokens[-1])
        words = np.repeat(np.arange(len(chosen)), [len(ids) for ids in chosen])
        others = tuple(ids[:i] + ids[i + 1 :] for ids, i in zip(known, choice, strict=True))
        return Target(self.prompt, tokens, words, others, self.letters)

    def twice(self) -> Target:
        """Return the target with its text said twice."""
        text, words = self.tokens[:-1], int(self.words[-1]) + 1
        return Target(
            self.prompt,
            (*text, *text, self.tokens[-1]),
            np.concatenate([self.words, self.words + words]),
            2 * self.spellings,
            2 * self.letters,
        )

    def _written(self) -> list[Ids]:
        """Return the tokens of each word that may be spelled otherwise."""
        edges = np.searchsorted(self.words, np.arange(len(self.spellings) + 1)).tolist()
        return [self.tokens[start:end] for start, end in pairwise(edges)]

    def others(self, target: int, sequences: list[Ids]) -> Iterator[OtherSpelling]:
        """Give every other spelling of every word.

        Args:
            target: the number of this target.
            sequences: those that are read, this target's the last; a spelling of several tokens
                adds its own.
        """
        own = len(sequences) - 1
        for word, spellings in enumerate(self.spellings):
            start = len(self.prompt) + int(np.searchsorted(self.words, word))
            for place, ids in enumerate(spellings, 1):
                sequence = own
                if len(ids) > 1:
                    sequence = len(sequences)
                    sequences.append((*self.read[:start], *ids[:-1]))
                yield OtherSpelling(target, word, place, sequence, start, ids)

    @property
    def key(self) -> tuple[object, ...]:
        """What tells it from targets of another text, or of the same in other spellings."""
        return self.tokens, self.spellings

    @property
    def read(self) -> Ids:
        """What the decoder reads."""
        return (*self.prompt, *self.tokens[:-1])


@dataclass(frozen=True)
class TargetBatch:
    """Targets stacked, and the prefix tree in which the decoder reads them.

    Attributes:
        tokens: the tokens that are scored, (n, maximum), padded after.
        mask: (n, maximum), 1 where they are.
        own: 1 at the text's tokens, 0 at the last token and after: (n, maximum).
        last: the place of each target's last token, (n, 1).
        words: the word of each token, (n, maximum).
        word_count: the most words of a target.
        expects: the nodes after which a token of a text may be expected, (…,).
        before: the node after which each token is expected, (n, maximum).
        at: the node of each token itself, (n, maximum); any node for the last, which is not read.
        tree: the prompts and tokens, as the nodes that `before` and `at` name.
        paths: the node of each token that a target reads, prompt and text, (n, …).
        spellings: other spellings of the words; None where there are none.
        owner: the clip of each target, (n,).
    """

    tokens: Tensor
    mask: Tensor
    own: Tensor
    last: Tensor
    words: Tensor
    word_count: int
    expects: Tensor
    before: Tensor
    at: Tensor
    tree: PrefixTree
    paths: Tensor
    spellings: SpellingBatch | None
    owner: NDArray[np.int64]

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
        sequences: list[Ids] = []
        others: list[OtherSpelling] = []
        first = np.empty(len(targets), dtype=np.int64)  # sequence of each target
        for i, target in enumerate(targets):
            first[i] = len(sequences)
            sequences.append(target.read)
            others += target.others(i, sequences)
            count = len(target.tokens)
            tokens[i, :count] = target.tokens
            words[i, : count - 1] = target.words
            mask[i, :count] = 1
        clip = np.arange(len(targets)) if owner is None else owner
        clip = np.repeat(clip, np.diff([*first, len(sequences)]))
        tree = PrefixTree.of(sequences, torch.device("cpu"), clip)
        own = tree.paths[torch.from_numpy(first)]
        before = own[:, prompt - 1 : prompt - 1 + maximum]  # (n, maximum)
        word_count = int(words.max()) + 1
        last = mask.sum(1, keepdims=True).astype(np.int64) - 1
        batch = cls(
            tokens=torch.from_numpy(tokens),
            mask=torch.from_numpy(mask),
            own=torch.from_numpy(mask * (np.arange(maximum) != last)),
            last=torch.from_numpy(last),
            words=torch.from_numpy(words),
            word_count=word_count,
            expects=torch.nonzero(tree.depths >= prompt - 1)[:, 0],
            before=before,
            at=torch.cat([before[:, 1:], before[:, -1:]], 1),
            tree=tree,
            paths=own,
            spellings=SpellingBatch.of(others, tree, len(targets), word_count),
            owner=np.arange(len(targets)) if owner is None else owner,
        )
        return to_device(batch, device)

    def sum_words(self, values: Tensor) -> Tensor:
        """Return the sum of the values of each word's tokens: (n, maximum) to (n, words)."""
        zeros = values.new_zeros(len(values), self.word_count)
        return zeros.scatter_add(1, self.words, values * self.own)


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


def texts_of(clips: Clips, whisper: Whisper, prompt: Ids, spell: Spell | None = None) -> ClipTexts:
    """Tokenize the text of each clip, with the other spellings that `spell` gives.

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
        targets=tuple(Target.of(text, prompt, whisper.tokenizer.end, spell) for text in texts),
        of_clip=np.array([number[text] for text in clips.texts], dtype=np.int64),
    )
