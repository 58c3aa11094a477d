"""Texts as token ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from audiomatch_torch import first_line
from numpy.typing import NDArray
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors

from audiomatch.clips import Clips
from audiomatch.errors import UserError, WeightsError

START, PAD, END, UNKNOWN = "<s>", "<pad>", "</s>", "<unk>"
STEP = 32
TOKENIZER_FILES = ("tokenizer.json", "vocab.json", "merges.txt")


@dataclass(frozen=True)
class TextEncoder:
    """RoBERTa's tokenizer: start, text, end; padded to a multiple of `STEP` ids.

    Attributes:
        tokenizer: of the library `tokenizers`.
        pad: the id that pads.
    """

    tokenizer: Tokenizer
    pad: int

    @classmethod
    def of(cls, tokenizer: Tokenizer, name: str) -> TextEncoder:
        """Look up the special tokens; raises `WeightsError` where one is not there."""
        ids = _ids(tokenizer, name)
        # A text that spells a special token is still only text.
        tokenizer.encode_special_tokens = True
        tokenizer.no_padding()
        tokenizer.no_truncation()
        return cls(tokenizer, ids[PAD])

    @classmethod
    def read(cls, folder: Path) -> TextEncoder:
        """Read tokenizer.json, or vocab.json and merges.txt; raises `WeightsError`."""
        file, vocabulary, merges = (folder / name for name in TOKENIZER_FILES)
        try:
            if file.is_file():
                return cls.of(Tokenizer.from_file(str(file)), str(file))
            if vocabulary.is_file() and merges.is_file():
                return cls.of(_from_vocabulary(vocabulary, merges), str(vocabulary))
        except WeightsError:
            raise
        except Exception as error:  # noqa: BLE001 - tokenizers raises plain Exception
            raise WeightsError(f"{folder}: tokenizer not readable ({first_line(error)})") from None
        raise WeightsError(f"{folder}: no tokenizer.json; copy it from the original model")

    @classmethod
    def of_bytes(cls) -> TextEncoder:
        """Make a tokenizer of single bytes, for a model from scratch."""
        alphabet = [START, PAD, END, UNKNOWN, *sorted(pre_tokenizers.ByteLevel.alphabet())]
        tokenizer = Tokenizer(models.BPE({c: i for i, c in enumerate(alphabet)}, []))
        return cls.of(_roberta(tokenizer), "scratch")

    def save(self, folder: Path) -> None:
        """Write tokenizer.json."""
        (folder / "tokenizer.json").write_text(self.tokenizer.to_str(), encoding="utf-8")

    @property
    def size(self) -> int:
        """One more than the largest id."""
        return 1 + max(self.tokenizer.get_vocab().values())

    def encode(self, clips: Clips, most: int) -> list[NDArray[np.int64]]:
        """Return the ids of each clip's text; raises `UserError` where one has over `most`."""
        encoded = self.tokenizer.encode_batch(clips.texts)
        out = [np.array(one.ids, dtype=np.int64) for one in encoded]
        for i, ids in enumerate(out):
            problem = _too_long(len(ids), most)
            if problem:
                raise UserError(f"{clips.where(i)}: {problem}")
        return out

    def refuses(self, clips: Clips, most: int) -> list[str | None]:
        """Say of each clip's text whether it has over `most` tokens."""
        encoded = self.tokenizer.encode_batch(clips.texts)
        return [_too_long(len(one.ids), most) for one in encoded]

    def stack(self, texts: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
        """Stack ids of unequal number, padded on the right: int64 of shape (n, padded)."""
        out = np.full((len(texts), max(map(padded, texts))), self.pad, dtype=np.int64)
        for row, ids in zip(out, texts, strict=True):
            row[: len(ids)] = ids
        return out


def _too_long(tokens: int, most: int) -> str | None:
    found = f"expected_text has {tokens} tokens; this CLAP's text tower holds {most}"
    return found if tokens > most else None


def tokenizer_files(folder: Path) -> tuple[Path, ...]:
    """Return the files of `folder` that make a tokenizer."""
    return tuple(folder / name for name in TOKENIZER_FILES if (folder / name).is_file())


def padded(ids: NDArray[np.int64]) -> int:
    """Return how many ids a text takes with its padding."""
    return -(-len(ids) // STEP) * STEP


def _from_vocabulary(vocabulary: Path, merges: Path) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE.from_file(str(vocabulary), str(merges)))
    _ids(tokenizer, str(vocabulary))
    return _roberta(tokenizer)


def _ids(tokenizer: Tokenizer, name: str) -> dict[str, int]:
    found = {}
    for token in (START, PAD, END):
        number = tokenizer.token_to_id(token)
        if number is None:
            raise WeightsError(f"{name}: the tokenizer has no {token}; not a RoBERTa's")
        found[token] = number
    return found


def _roberta(tokenizer: Tokenizer) -> Tokenizer:
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, special=True) for t in (START, PAD, END, UNKNOWN)])
    ids = _ids(tokenizer, "tokenizer")
    tokenizer.post_processor = processors.RobertaProcessing(
        (END, ids[END]), (START, ids[START]), add_prefix_space=False
    )
    return tokenizer
