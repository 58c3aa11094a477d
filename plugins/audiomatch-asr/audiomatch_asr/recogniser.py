"""What every recogniser gives: the log probabilities of a text's tokens, by teacher forcing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from audiomatch_torch import save_tensors
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from audiomatch.errors import WeightsError
from audiomatch_asr.texts import Ids, Texts

Features = NDArray[np.float32]


class Recogniser(nn.Module, ABC):
    """A network that writes what it hears token by token, with what goes in and what it writes.

    A family of them says how audio becomes features and these states, and what the next tokens are.

    Attributes:
        network: of transformers.
        extractor: makes its input of audio.
        texts: cuts texts into its tokens.
        ends: the ids of the tokens that say that a text is over.
        rate: how long the features of a second are.
    """

    Network: ClassVar[type[Any]]
    Extractor: ClassVar[type[Any]]

    def __init__(
        self, network: Any, extractor: Any, texts: Texts, ends: Sequence[int], rate: float
    ) -> None:
        super().__init__()
        self.network, self.extractor = network, extractor
        self.texts, self.ends, self.rate = texts, list(ends), rate

    @classmethod
    @abstractmethod
    def of(
        cls, network: Any, extractor: Any, tokenizer: PreTrainedTokenizerBase, language: str
    ) -> Recogniser:
        """Make one of its parts; raises `WeightsError` where they contradict each other."""

    @classmethod
    @abstractmethod
    def read_texts(cls, tokenizer: PreTrainedTokenizerBase, config: Any, language: str) -> Texts:
        """Return what cuts texts; raises `WeightsError` where the model knows fewer tokens."""

    @abstractmethod
    def features(self, audio: Features) -> Features:
        """Return what the encoder is given of a clip's samples at 16 kHz: (length, ...)."""

    @abstractmethod
    def encode(self, features: Tensor) -> Tensor:
        """Run the encoder on clips of one length: (n, length, ...) to (n, frames, d)."""

    @abstractmethod
    def _logits(self, states: Tensor, given: Tensor) -> Tensor:
        """Return the logits of the next token at the start and after each token given.

        Args:
            states: of `encode`, (n, frames, d).
            given: ids on the same device, int64 (n, t).

        Returns:
            float (n, t + 1, v).
        """

    def log_probs(self, states: Tensor, texts: Sequence[Ids]) -> Tensor:
        """Return the log probability of each token of each text and of its end, given the speech.

        Args:
            states: of `encode`, (n, frames, d).
            texts: n arrays of ids; text i is read against clip i.

        Returns:
            float32 (n, tokens of the longest + 1), 0 after a text's end.
        """
        counts = torch.tensor([len(text) for text in texts])[:, None]
        # Nothing that follows a token changes its probability, so what pads may be the end too.
        targets = torch.full((len(texts), int(counts.max()) + 1), self.ends[0])
        for row, text in zip(targets, texts, strict=True):
            row[: len(text)] = torch.from_numpy(text)
        at = torch.arange(targets.shape[1])
        own, last = (mask.to(states.device) for mask in (at <= counts, at == counts))
        targets = targets.to(states.device)
        logits = self._logits(states, targets[:, :-1]).float()  # (n, t, v)
        chosen = logits.gather(2, targets[:, :, None])[:, :, 0]  # (n, t)
        over = torch.stack([logits[:, :, end] for end in self.ends]).logsumexp(0)
        log_p: Tensor = (torch.where(last, over, chosen) - logits.logsumexp(2)) * own
        return log_p

    def save(self, folder: Path) -> None:
        """Write a Hugging Face folder: config, processor, model.safetensors."""
        self.network.config.save_pretrained(folder)
        self.extractor.save_pretrained(folder)
        self.texts.tokenizer.save_pretrained(folder)
        save_tensors(self.network.state_dict(), folder / "model.safetensors")


def check_tokens(tokenizer: PreTrainedTokenizerBase, also: Sequence[Any], size: int) -> None:
    """Raise `WeightsError` where a tokenizer, or `also`, has an id that no output stands for."""
    known = (*also, *tokenizer.get_vocab().values())
    if not all(type(i) is int and 0 <= i < size for i in known):
        raise WeightsError(
            f"{tokenizer.name_or_path}: the tokenizer has other tokens than the model"
        )
