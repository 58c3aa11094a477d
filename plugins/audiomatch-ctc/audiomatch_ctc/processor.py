"""The processor of a weights folder: what goes into a CTC model, and what it writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from audiomatch_torch import first_line, read_fast_tokenizer
from transformers import (
    ParakeetFeatureExtractor,
    PreTrainedTokenizerBase,
    SeamlessM4TFeatureExtractor,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2PhonemeCTCTokenizer,
)

from audiomatch.errors import WeightsError
from audiomatch_ctc.alphabet import Alphabet
from audiomatch_ctc.phones import Phones, writes_phones
from audiomatch_ctc.pieces import Pieces
from audiomatch_ctc.units import Units

_VOCABULARY, _FAST, _SETTINGS = "vocab.json", "tokenizer.json", "tokenizer_config.json"
EXTRACTORS = (Wav2Vec2FeatureExtractor, SeamlessM4TFeatureExtractor, ParakeetFeatureExtractor)


def read_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Return the tokenizer: of characters or phones (vocab.json), or of pieces (tokenizer.json).

    No text is given to a tokenizer of phones, so that it needs no phonemizer. Raises
    `WeightsError` where there is none that can be read.
    """
    if not (folder / _VOCABULARY).is_file() and (folder / _FAST).is_file():
        return read_fast_tokenizer(folder)
    try:
        return _of_vocabulary(folder)
    except FileNotFoundError:
        raise WeightsError(
            f"{folder}: no {_VOCABULARY} and no {_FAST}; copy it from the original model"
        ) from None
    except WeightsError:
        raise
    except Exception as error:  # noqa: BLE001 - of a vocabulary that is none, several libraries'
        raise WeightsError(
            f"{folder}: the tokenizer is not readable ({first_line(error)})"
        ) from None


def units_of(tokenizer: PreTrainedTokenizerBase, name: str) -> Units:
    """Return what a tokenizer's model writes; raises `WeightsError` with `name` for none."""
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    if isinstance(tokenizer, Wav2Vec2PhonemeCTCTokenizer) or writes_phones(vocabulary):
        return Phones(vocabulary, name)
    if not isinstance(tokenizer, Wav2Vec2CTCTokenizer):
        return Pieces(tokenizer)
    letters = Alphabet(vocabulary, tokenizer.word_delimiter_token)
    if not letters.letters:
        raise WeightsError(f"{name}: vocab.json does not hold the letters that the model writes")
    return letters


def _of_vocabulary(folder: Path) -> PreTrainedTokenizerBase:
    vocabulary = json.loads((folder / _VOCABULARY).read_text(encoding="utf-8"))
    settings = folder / _SETTINGS
    kind = json.loads(settings.read_text(encoding="utf-8")) if settings.is_file() else {}
    if any(isinstance(ids, dict) for ids in vocabulary.values()):
        raise WeightsError(f"{folder}: one vocabulary a language; take a model of one language")
    if not all(type(i) is int and 0 <= i < 2**31 for i in vocabulary.values()):
        raise WeightsError(f"{folder}: {_VOCABULARY} must give each token a number")
    code: Any = Wav2Vec2CTCTokenizer
    if "Phoneme" in str(kind.get("tokenizer_class", "")):
        code = Wav2Vec2PhonemeCTCTokenizer
    tokenizer: PreTrainedTokenizerBase = code.from_pretrained(folder, local_files_only=True)
    return tokenizer
