"""The processor of a weights folder: what goes into a CTC model, and what it writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from audiomatch_torch import check_preprocessor, first_line
from transformers import (
    AutoFeatureExtractor,
    AutoTokenizer,
    ParakeetFeatureExtractor,
    PreTrainedTokenizerBase,
    SeamlessM4TFeatureExtractor,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2PhonemeCTCTokenizer,
)

from audiomatch.audio import SAMPLE_RATE
from audiomatch.errors import WeightsError
from audiomatch_ctc.alphabet import Alphabet
from audiomatch_ctc.features import Extractor
from audiomatch_ctc.phones import Phones, writes_phones
from audiomatch_ctc.pieces import Pieces
from audiomatch_ctc.units import Units

_VOCABULARY, _FAST, _SETTINGS = "vocab.json", "tokenizer.json", "tokenizer_config.json"
_EXTRACTORS = (Wav2Vec2FeatureExtractor, SeamlessM4TFeatureExtractor, ParakeetFeatureExtractor)


def read_extractor(folder: Path) -> Extractor:
    """Return the feature extractor; raises `WeightsError` where it is none of speech."""
    check_preprocessor(folder)
    try:
        extractor = AutoFeatureExtractor.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # noqa: BLE001 - what contradicts itself fails in many ways
        raise WeightsError(
            f"{folder}: no readable preprocessor_config.json ({first_line(error)})"
        ) from None
    if not isinstance(extractor, _EXTRACTORS):
        known = ", ".join(one.__name__ for one in _EXTRACTORS)
        raise WeightsError(
            f"{folder}: its {type(extractor).__name__} is not supported; there is: {known}"
        )
    if extractor.sampling_rate != SAMPLE_RATE:
        raise WeightsError(f"{folder}: is for {extractor.sampling_rate} Hz, not {SAMPLE_RATE} Hz")
    return extractor


def read_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Return the tokenizer: of characters or phones (vocab.json), or of pieces (tokenizer.json).

    No text is given to a tokenizer of phones, so that it needs no phonemizer. Raises
    `WeightsError` where there is none that can be read.
    """
    try:
        if not (folder / _VOCABULARY).is_file() and (folder / _FAST).is_file():
            return _of_pieces(folder)
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


def _of_pieces(folder: Path) -> PreTrainedTokenizerBase:
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False
    )
    if not tokenizer.is_fast:
        raise WeightsError(f"{folder}: its {type(tokenizer).__name__} tells no offsets")
    return tokenizer


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
