"""Checkpoints in the published formats and reduced shapes, and a small corpus."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from audiomatch_torch import save_tensors
from tokenizers import Tokenizer, decoders, models, normalizers
from transformers import (
    MoonshineConfig,
    MoonshineForConditionalGeneration,
    PreTrainedTokenizerFast,
    Qwen2Tokenizer,
    Qwen3ASRConfig,
    Qwen3ASRFeatureExtractor,
    Qwen3ASRForConditionalGeneration,
    Qwen3ASRProcessor,
    Wav2Vec2FeatureExtractor,
)
from transformers.convert_slow_tokenizer import bytes_to_unicode

from audiomatch import Run
from audiomatch.clips import Clips
from audiomatch.datasets.manifest import open_manifest

SPECIAL = ["<unk>", "<s>", "</s>"]
BYTES = [f"<0x{i:02X}>" for i in range(256)]
MERGES = [("o", "o"), ("▁", "m"), ("oo", "n"), ("▁m", "oon"), ("a", "t"), ("▁", "s")]


def tokenizer(*, fallback: bool) -> PreTrainedTokenizerFast:
    """Return pieces of words, and bytes for the rest, as Moonshine's has them."""
    letters = ["▁", *"abcdefghijklmnopqrstuvwxyz"]
    tokens = [*SPECIAL, *(BYTES if fallback else ()), *letters, *map("".join, MERGES)]
    inner = Tokenizer(
        models.BPE(
            {token: i for i, token in enumerate(tokens)},
            MERGES,
            unk_token="<unk>",
            byte_fallback=fallback,
        )
    )
    inner.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    inner.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback()])
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )


def write_checkpoint(folder: Path, *, fallback: bool = True) -> Path:
    """Write config, processor and weights of a tiny Moonshine, as the hub holds them."""
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    own = tokenizer(fallback=fallback)
    own.save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=False, return_attention_mask=True).save_pretrained(folder)
    config = MoonshineConfig(
        vocab_size=len(own), hidden_size=32, intermediate_size=48, max_position_embeddings=64,
        encoder_num_hidden_layers=1, decoder_num_hidden_layers=2, encoder_num_attention_heads=2,
        decoder_num_attention_heads=2, pad_token_id=2, initializer_range=0.2,
    )  # fmt: skip
    config.architectures = ["MoonshineForConditionalGeneration"]
    config.save_pretrained(folder)
    network = MoonshineForConditionalGeneration(config)
    save_tensors(network.state_dict(), folder / "model.safetensors")
    return folder


QWEN_MARKS = {
    "audio_bos_token": "<|audio_start|>",
    "audio_eos_token": "<|audio_end|>",
    "audio_token": "<|audio_pad|>",
}
# A clip, without context, and what the answer begins with.
QWEN_TEMPLATE = (
    "<|im_start|>system\n<|im_end|>\n<|im_start|>user\n<|audio_start|><|audio_pad|><|audio_end|>"
    "<|im_end|>\n<|im_start|>assistant\n{{ messages[-1].content[0].text }}<|im_end|>\n"
)


def write_qwen3_asr(folder: Path, *, dtype: torch.dtype = torch.float32) -> Path:
    """Write config, processor and weights of a tiny Qwen3-ASR, as the hub holds them."""
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    merges = [("o", "o"), ("oo", "n"), ("m", "oon"), ("a", "t"), ("Ġ", "b")]
    pieces = [*bytes_to_unicode().values(), *map("".join, merges)]
    tokenizer = Qwen2Tokenizer(
        {piece: i for i, piece in enumerate(pieces)}, merges, eos_token="<|im_end|>",
        extra_special_tokens=QWEN_MARKS,
    )  # fmt: skip
    tokenizer.add_tokens(["<|im_start|>"], special_tokens=True)
    tokenizer.add_tokens(["<asr_text>"])
    Qwen3ASRProcessor(
        Qwen3ASRFeatureExtractor(feature_size=16), tokenizer, chat_template=QWEN_TEMPLATE
    ).save_pretrained(folder)
    ids = dict(zip(("pad", "end", "audio"), tokenizer.convert_tokens_to_ids(
        ["<|endoftext|>", "<|im_end|>", "<|audio_pad|>"]), strict=True))  # fmt: skip
    config = Qwen3ASRConfig(
        audio_config={
            "num_mel_bins": 16, "encoder_layers": 1, "encoder_attention_heads": 2,
            "encoder_ffn_dim": 24, "d_model": 16, "output_dim": 32, "downsample_hidden_size": 8,
            "initializer_range": 0.2,
        },
        text_config={
            "vocab_size": len(tokenizer) + 3, "hidden_size": 32, "intermediate_size": 48,
            "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
            "head_dim": 8, "max_position_embeddings": 512, "initializer_range": 0.2,
            "tie_word_embeddings": True,
        },
        audio_token_id=ids["audio"], pad_token_id=ids["end"],
        eos_token_id=[ids["pad"], ids["end"]], dtype=dtype,
    )  # fmt: skip
    config.architectures = ["Qwen3ASRForConditionalGeneration"]
    Qwen3ASRForConditionalGeneration(config).to(dtype).save_pretrained(folder)
    return folder


@pytest.fixture
def qwen3_asr(tmp_path: Path) -> Callable[..., Path]:
    """Write a checkpoint of a Qwen3-ASR below the test's folder."""
    return lambda **how: write_qwen3_asr(tmp_path / "qwen3-asr", **how)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Callable[..., Path]:
    """Write a checkpoint of a Moonshine below the test's folder."""
    return lambda **how: write_checkpoint(tmp_path / "weights", **how)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A quiet run with a cache of its own."""
    return Run(cache=tmp_path / "cache")


@pytest.fixture
def clips(tmp_path: Path) -> Clips:
    """24 labelled clips of 0.03 to 1.3 s, half of them of one length; each text is in both classes.

    The two texts of a recording share a file.
    """
    texts = ["moon", "paper boat", "soup", "naïve", "chav", "green hat"]
    rng = np.random.default_rng(0)
    lines = ["audio,expected_text,match"]
    for i in range(12):
        seconds = 0.6 if i % 2 else rng.uniform(0.03, 1.3)
        soundfile.write(tmp_path / f"{i}.wav", 0.1 * rng.normal(size=int(seconds * 16_000)), 16_000)
        lines.extend(f"{i}.wav,{texts[(i + other) % 6]},{1 - other}" for other in (0, 1))
    (tmp_path / "manifest.csv").write_text("\n".join(lines))
    return open_manifest(tmp_path / "manifest.csv", labelled=True)
