"""Checkpoints in the published format and a reduced shape, and a small corpus."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import soundfile
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForCTC,
    HubertConfig,
    ParakeetCTCConfig,
    ParakeetFeatureExtractor,
    ParakeetTokenizer,
    SeamlessM4TFeatureExtractor,
    Wav2Vec2BertConfig,
    Wav2Vec2Config,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2PhonemeCTCTokenizer,
    WavLMConfig,
)

from audiomatch import Run
from audiomatch.clips import Clips
from audiomatch.datasets.manifest import open_manifest

TOKENS = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ETAONIHSRDLUMWCFGYPBVK'XJQZ"]
# Of facebook/wav2vec2-lv-60-espeak-cv-ft, which has 392.
IPA = """n s t ə l a i k d m ɛ ɾ e ɪ p o ɐ z ð f j v b ɹ ʁ ʊ r w ʌ u ɡ æ ʃ h ɔ ŋ ɚ ɜ ɑ θ x
    iː aɪ ɑː eɪ uː oʊ aʊ ɔɪ ɔː ɜː tʃ dʒ ʒ əl ɑːɹ ɔːɹ oːɹ ɛɹ ɪɹ ʊɹ"""
PHONES = [*TOKENS[:4], *IPA.split()]
# As published: base sizes normalise over time and use no mask, large ones the other way round.
LARGE = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}
SHAPES = {
    "hubert": (HubertConfig, LARGE),
    "wav2vec2": (Wav2Vec2Config, {"feat_extract_norm": "group"}),
    "wavlm": (WavLMConfig, {"feat_extract_norm": "group", "num_buckets": 32}),
}


def write_checkpoint(folder: Path, kind: str, *, pickled: bool = False, ctc: bool = True) -> Path:
    """Write config, processor and weights of a tiny CTC model, as the hub holds them.

    `kind` is an architecture, with `-phones` where it writes phones. Without `ctc` it is an encoder
    that was pretrained and no more.
    """
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    tokens = PHONES if kind.endswith("-phones") else TOKENS
    kind = kind.removesuffix("-phones")
    if kind == "wav2vec2-bert":
        config = Wav2Vec2BertConfig(
            vocab_size=len(tokens), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=16, feature_projection_input_dim=160, pad_token_id=0,
        )  # fmt: skip
        SeamlessM4TFeatureExtractor().save_pretrained(folder)
    elif kind == "parakeet":
        config = parakeet(folder)
    else:
        shape, options = SHAPES[kind]
        config = shape(
            vocab_size=len(tokens), hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
            intermediate_size=32, conv_dim=(8,) * 7, num_conv_pos_embeddings=16,
            num_conv_pos_embedding_groups=2, pad_token_id=0, **options,
        )  # fmt: skip
        Wav2Vec2FeatureExtractor(
            return_attention_mask=options["feat_extract_norm"] == "layer"
        ).save_pretrained(folder)
    if kind != "parakeet" and ctc:
        (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
        code = Wav2Vec2PhonemeCTCTokenizer if tokens is PHONES else Wav2Vec2CTCTokenizer
        code(str(folder / "vocab.json")).save_pretrained(folder)
    model = AutoModelForCTC.from_config(config).eval()
    config.architectures = [type(model).__name__]
    config.save_pretrained(folder)
    tensors = {}
    own = model if ctc else getattr(model, model.base_model_prefix)
    for name, tensor in own.state_dict().items():
        if name.endswith("masked_spec_embed"):
            continue  # as in facebook/wav2vec2-base-960h
        name = name.replace("parametrizations.weight.original0", "weight_g")
        name = name.replace("parametrizations.weight.original1", "weight_v")
        tensors[name] = tensor.contiguous()
    if pickled:
        torch.save(tensors, folder / "pytorch_model.bin")
    else:
        safetensors.torch.save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    return folder


def parakeet(folder: Path) -> ParakeetCTCConfig:
    """Write the processor of a Parakeet, with pieces of words; returns a tiny shape."""
    words = [" moon", " paper boat", " soup", " chav", " green hat", " ten"]
    trainer = trainers.BpeTrainer(
        vocab_size=48, special_tokens=["<unk>"], show_progress=False, initial_alphabet=["▁"]
    )
    inner = Tokenizer(models.BPE(unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    inner.decoder = decoders.Metaspace()
    inner.train_from_iterator(words * 5, trainer)
    inner.add_special_tokens(["<pad>"])
    tokenizer = ParakeetTokenizer(
        tokenizer_object=inner, unk_token="<unk>", pad_token="<pad>", padding_side="right"
    )
    tokenizer.save_pretrained(folder)
    ParakeetFeatureExtractor().save_pretrained(folder)
    encoder = {
        "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 32, "subsampling_conv_channels": 8,
    }  # fmt: skip
    pad = tokenizer.pad_token_id
    return ParakeetCTCConfig(vocab_size=pad + 1, pad_token_id=pad, encoder_config=encoder)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Callable[..., Path]:
    """Write a checkpoint below the test's folder: `checkpoint(kind, pickled=, ctc=)`."""
    return lambda kind, **how: write_checkpoint(tmp_path / f"weights-{kind}", kind, **how)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A quiet run with a cache of its own."""
    return Run(cache=tmp_path / "cache")


@pytest.fixture
def clips(tmp_path: Path) -> Clips:
    """24 labelled clips of 0.1 to 1.3 s: a tone for each of 6 texts, another's in mismatches."""
    texts = ["moon", "paper boat", "soup", "naïve", "chav", "green hat"]
    rng = np.random.default_rng(0)
    lines = ["audio,expected_text,match"]
    for i in range(24):
        text, match = i % len(texts), (i // len(texts)) % 2
        hertz = 300 * 1.3 ** (text if match else (text + 1) % len(texts))
        time = np.arange(int(rng.uniform(0.1, 1.3) * 16_000)) / 16_000
        sound = 0.3 * np.sin(2 * np.pi * hertz * time) + 0.01 * rng.normal(size=time.size)
        soundfile.write(tmp_path / f"{i}.wav", sound, 16_000)
        lines.append(f"{i}.wav,{texts[text]},{match}")
    (tmp_path / "manifest.csv").write_text("\n".join(lines))
    return open_manifest(tmp_path / "manifest.csv", labelled=True)
