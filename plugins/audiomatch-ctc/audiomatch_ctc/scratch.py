"""A small CTC model to train from scratch, in a published architecture.

A HuBERT must learn its own filters from the waveform, for which a few hundred clips are too few and
two cores too slow. Wav2Vec2-BERT reads log-mel instead (a conformer, Gulati et al., 2020; Seamless
Communication, 2023), here at 25 frames a second.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from transformers import (
    PreTrainedTokenizerBase,
    SeamlessM4TFeatureExtractor,
    Wav2Vec2BertConfig,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2PhonemeCTCTokenizer,
)

from audiomatch_ctc.phones import ARPABET

SPECIAL = ("<pad>", "<s>", "</s>", "<unk>")
# The order of facebook's English checkpoints.
VOCABULARY = (*SPECIAL, "|", *"ETAONIHSRDLUMWCFGYPBVK'XJQZ")
MEL_BINS = 80
# Frames of 10 ms that are stacked into one.
STACKED = 4


def scratch_parts(
    width: int, layers: int, *, phones: bool
) -> tuple[Wav2Vec2BertConfig, SeamlessM4TFeatureExtractor, PreTrainedTokenizerBase]:
    """Return shape, feature extractor and tokenizer, of letters (`VOCABULARY`) or phones."""
    tokenizer = phone_tokenizer() if phones else _tokenizer(Wav2Vec2CTCTokenizer, VOCABULARY)
    config = Wav2Vec2BertConfig(
        vocab_size=len(tokenizer.get_vocab()),
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=2 * width,
        feature_projection_input_dim=MEL_BINS * STACKED,
        conv_depthwise_kernel_size=15,
        left_max_position_embeddings=32,
        right_max_position_embeddings=8,
        hidden_dropout=0.1,
        attention_dropout=0.1,
        activation_dropout=0.1,
        feat_proj_dropout=0.1,
        final_dropout=0.1,
        conformer_conv_dropout=0.1,
        layerdrop=0.0,
        apply_spec_augment=False,
        pad_token_id=0,
    )
    extractor = SeamlessM4TFeatureExtractor(
        feature_size=MEL_BINS, num_mel_bins=MEL_BINS, stride=STACKED
    )
    return config, extractor, tokenizer


def phone_tokenizer() -> PreTrainedTokenizerBase:
    """Return the tokenizer of a model that writes ARPAbet."""
    return _tokenizer(Wav2Vec2PhonemeCTCTokenizer, (*SPECIAL, *ARPABET), do_phonemize=False)


def _tokenizer(kind: Any, vocabulary: Iterable[str], **options: Any) -> PreTrainedTokenizerBase:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "vocab.json"
        file.write_text(json.dumps({token: i for i, token in enumerate(vocabulary)}))
        made: PreTrainedTokenizerBase = kind(str(file), **options)
    return made
