"""What stands beside the weights in a Hugging Face folder: config, feature extractor, tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from audiomatch.audio import SAMPLE_RATE
from audiomatch.errors import WeightsError
from audiomatch_torch.quiet import quiet_transformers
from audiomatch_torch.sizes import check_preprocessor
from audiomatch_torch.weights import first_line

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

FAST = "tokenizer.json"


class Tokens(NamedTuple):
    """A text as tokens.

    Attributes:
        ids: of the tokens, int64 (u,).
        words: the place in the text of the word that each is of, int64 (u,).
        spans: where in the text each begins and ends, int64 (u, 2).
    """

    ids: NDArray[np.int64]
    words: NDArray[np.int64]
    spans: NDArray[np.int64]


def read_auto_config(folder: Path) -> Any:
    """Return the config of transformers; raises `WeightsError` where it is not readable."""
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # noqa: BLE001 - validation errors of several libraries
        raise WeightsError(f"{folder}: config.json: {first_line(error)}") from None


def read_extractor(folder: Path, known: tuple[type[Any], ...]) -> Any:
    """Return the feature extractor, one of `known` for audio at 16 kHz; raises `WeightsError`."""
    from transformers import AutoFeatureExtractor

    check_preprocessor(folder)
    try:
        extractor = AutoFeatureExtractor.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # noqa: BLE001 - what contradicts itself fails in many ways
        raise WeightsError(
            f"{folder}: no readable preprocessor_config.json ({first_line(error)})"
        ) from None
    if not isinstance(extractor, known):
        names = ", ".join(one.__name__ for one in known)
        raise WeightsError(
            f"{folder}: its {type(extractor).__name__} is not supported; there is: {names}"
        )
    if extractor.sampling_rate != SAMPLE_RATE:
        raise WeightsError(f"{folder}: is for {extractor.sampling_rate} Hz, not {SAMPLE_RATE} Hz")
    return extractor


def read_fast_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Return the tokenizer of tokenizer.json, which tells offsets; raises `WeightsError`."""
    from transformers import AutoTokenizer

    if not (folder / FAST).is_file():
        raise WeightsError(f"{folder}: no {FAST}; copy it from the original model")
    try:
        with quiet_transformers():
            tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
    except Exception as error:  # noqa: BLE001 - several libraries' errors
        raise WeightsError(
            f"{folder}: the tokenizer is not readable ({first_line(error)})"
        ) from None
    if not tokenizer.is_fast:
        raise WeightsError(f"{folder}: its {type(tokenizer).__name__} tells no offsets")
    return tokenizer


def tokens_of(tokenizer: PreTrainedTokenizerBase, text: str) -> Tokens:
    """Return the tokens of a text, without special ones, by a tokenizer that tells offsets."""
    found = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    spans = np.array(found["offset_mapping"], np.int64).reshape(-1, 2)
    # A token ends in its word, or is the space before it.
    words = np.array([text[:end].count(" ") for end in spans[:, 1]], np.int64)
    return Tokens(np.array(found["input_ids"], np.int64), words, spans)
