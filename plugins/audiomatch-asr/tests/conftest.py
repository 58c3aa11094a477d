"""A checkpoint in the published format and a reduced shape, and a small corpus."""

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
    Wav2Vec2FeatureExtractor,
)

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


@pytest.fixture
def checkpoint(tmp_path: Path) -> Callable[..., Path]:
    """Write a checkpoint below the test's folder."""
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
