"""Tiny random Whispers of each vocabulary, and clips to score."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import WhisperConfig, WhisperForConditionalGeneration

from audiomatch import Run
from audiomatch.clips import Clips
from audiomatch.config import build_config

# Vocabulary size, languages, mel bins, and the ids OpenAI's tokenizers give the prompt.
VOCABULARIES = {
    "english": (51864, 99, 80, (50257, 50258, 50358, 50362)),
    "multilingual": (51865, 99, 80, (50258, 50259, 50359, 50363)),
    "large-v3": (51866, 100, 128, (50258, 50259, 50360, 50364)),
    # Not OpenAI's: bytes and the special tokens only, for what a vocabulary does not matter to.
    "bytes": (265, 1, 80, (257, 258, 260, 264)),
}
WORDS = {"english": 50256, "multilingual": 50257, "large-v3": 50257, "bytes": 256}
TEXTS = ("moon", "the dog ran", "chav", "a little green hat")


def make_tokenizer(vocabulary: str) -> Tokenizer:
    """Whisper's ids with byte-level words: 256 bytes, fillers, then the special tokens."""
    languages = VOCABULARIES[vocabulary][1]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    fillers = [f"<filler{i}>" for i in range(WORDS[vocabulary] - len(alphabet))]
    tokenizer = Tokenizer(models.BPE({t: i for i, t in enumerate([*alphabet, *fillers])}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    names = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>"]
    names += [f"<|language{i}|>" for i in range(languages - 1)]
    names += ["<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>"]
    names += ["<|nospeech|>", "<|notimestamps|>"]
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in names])
    return tokenizer


def make_model(vocabulary: str, seed: int = 0, width: int = 64) -> WhisperForConditionalGeneration:
    """A random Whisper of one layer a side, with weights large enough to matter."""
    size, _, bins, prompt = VOCABULARIES[vocabulary]
    torch.manual_seed(seed)
    end = WORDS[vocabulary]
    config = WhisperConfig(
        vocab_size=size, num_mel_bins=bins, d_model=width, init_std=0.1,
        encoder_layers=1, decoder_layers=2,
        encoder_attention_heads=width // 64, decoder_attention_heads=width // 64,
        encoder_ffn_dim=2 * width, decoder_ffn_dim=2 * width,
        bos_token_id=end, eos_token_id=end, pad_token_id=end, decoder_start_token_id=prompt[0],
    )  # fmt: skip
    model = WhisperForConditionalGeneration(config).eval()
    # Fresh biases and gains are 0 and 1, which would hide a mapping that mixes them up.
    for parameter in model.parameters():
        if parameter.ndim == 1:
            parameter.data += 0.1 * torch.randn_like(parameter)
    return model


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """A Hugging Face folder of each vocabulary, as published: sharded nowhere, safetensors."""
    made = {}
    for vocabulary in VOCABULARIES:
        folder = tmp_path_factory.mktemp(vocabulary)
        make_model(vocabulary).save_pretrained(folder)
        make_tokenizer(vocabulary).save(str(folder / "tokenizer.json"))
        made[vocabulary] = folder
    return made


@pytest.fixture
def run(tmp_path):
    return Run(cache=tmp_path / "cache")


@pytest.fixture
def corpus(tmp_path):
    """Eight clips of 0.1 to 3 s, four texts, both labels."""
    return make_clips(tmp_path, [0.1, 0.7, 3.0, 1.2, 2.1, 0.7, 0.4, 1.9])


def make_clips(folder, seconds, texts=TEXTS, seed=0):
    generator = np.random.default_rng(seed)
    rows = []
    for i, length in enumerate(seconds):
        time = np.arange(int(length * 16000)) / 16000
        wave = 0.3 * np.sin(2 * np.pi * generator.uniform(200, 2000) * time * (1 + time))
        wave += 0.05 * generator.standard_normal(len(time))
        path = folder / f"clip{i}.wav"
        soundfile.write(path, wave, 16000)
        text = texts[i % len(texts)]
        rows.append({"id": f"c{i}", "audio": str(path), "expected_text": text, "match": i // 4 % 2})
    return Clips(pd.DataFrame(rows))


@pytest.fixture
def whisper():
    """Make a matcher by preset and options."""
    from audiomatch_whisper import PRESETS
    from audiomatch_whisper.matcher import WhisperMatcher

    def make(preset="default", **options):
        options = {**PRESETS[preset], **options}
        return WhisperMatcher(build_config(WhisperMatcher.Config, options, "whisper"))

    return make


@pytest.fixture
def fitted(request, whisper, folders, corpus, run):
    """Fit a matcher on the corpus; the test module's `FAST` are its options unless told."""

    def make(vocabulary="bytes", **options):
        matcher = whisper(weights=str(folders[vocabulary]), **{**request.module.FAST, **options})
        matcher.fit(corpus, run)
        return matcher

    return make


@pytest.fixture
def copy_of(folders, tmp_path):
    """Copy a folder of weights to change it."""
    import shutil

    def make(vocabulary="bytes", **config):
        folder = tmp_path / "copy"
        shutil.copytree(folders[vocabulary], folder)
        file = folder / "config.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **config}))
        return folder

    return make


@pytest.fixture
def helpers():
    """The functions above, for tests that make their own models and clips."""
    from types import SimpleNamespace

    return SimpleNamespace(
        make_clips=make_clips, make_model=make_model, make_tokenizer=make_tokenizer,
        vocabularies=VOCABULARIES,
    )  # fmt: skip
