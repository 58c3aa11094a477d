"""Small random CLAPs in the published layouts, and clips to judge."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from audiomatch_clap.config import ClapConfig as Options
from audiomatch_clap.matcher import ClapMatcher
from audiomatch_clap.text import TextEncoder
from transformers import ClapConfig, ClapFeatureExtractor, ClapModel

from audiomatch import Run
from audiomatch.clips import Clips
from audiomatch.config import build_config

TEXTS = ("moon", "the dog ran", "chav", "a little green hat")


def make_model(vocabulary, mels=16, spectrogram=64, depths=(1, 1), seed=0, **audio):
    """A random CLAP with weights large enough to matter, gains and statistics not 1 and 0."""
    torch.manual_seed(seed)
    config = ClapConfig(
        projection_dim=12,
        text_config={
            "vocab_size": vocabulary, "hidden_size": 16, "num_hidden_layers": 1,
            "num_attention_heads": 1, "intermediate_size": 32, "max_position_embeddings": 130,
            "layer_norm_eps": 1e-5,
        },
        audio_config={
            "num_mel_bins": mels, "spec_size": spectrogram, "patch_embeds_hidden_size": 8,
            "depths": list(depths), "num_attention_heads": [1, 2, 4, 8][: len(depths)],
            "hidden_size": 8 * 2 ** (len(depths) - 1), "num_hidden_layers": len(depths), **audio,
        },
    )  # fmt: skip
    model = ClapModel(config).eval()
    for name, tensor in model.named_parameters():
        if "logit_scale" not in name:
            tensor.data += 0.2 * torch.randn_like(tensor)
    norm = model.audio_model.audio_encoder.batch_norm
    norm.running_mean.normal_(-40, 5)
    norm.running_var.uniform_(100, 400)
    return model


def make_folder(folder, **audio):
    """A Hugging Face folder as published: config, preprocessor, safetensors, tokenizer."""
    text = TextEncoder.of_bytes()
    fused = audio.get("enable_fusion", False)
    make_model(text.size, **audio).save_pretrained(folder)
    ClapFeatureExtractor(
        feature_size=16, max_length_s=2, frequency_min=50,
        truncation="fusion" if fused else "rand_trunc",
    ).save_pretrained(folder)  # fmt: skip
    text.save(folder)
    return folder


def make_clips(folder, seconds, seed=0):
    generator = np.random.default_rng(seed)
    rows = []
    for i, length in enumerate(seconds):
        time = np.arange(int(length * 16000)) / 16000
        wave = 0.3 * np.sin(2 * np.pi * generator.uniform(200, 2000) * time * (1 + time))
        wave += 0.05 * generator.standard_normal(len(time))
        path = folder / f"clip{i}.wav"
        soundfile.write(path, wave, 16000)
        text = TEXTS[i % len(TEXTS)]
        rows.append({"id": f"c{i}", "audio": str(path), "expected_text": text, "match": i // 4 % 2})
    return Clips(pd.DataFrame(rows))


@pytest.fixture(scope="session")
def pretrained(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp("clap"))


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """Twelve clips of 0.1 to 5.3 s, four texts, both labels."""
    seconds = [0.1, 0.7, 5.3, 1.2, 2.1, 0.7, 0.4, 1.9, 0.3, 1.0, 0.5, 0.8]
    return make_clips(tmp_path_factory.mktemp("clips"), seconds)


@pytest.fixture
def run(tmp_path):
    return Run(cache=tmp_path / "cache")


@pytest.fixture(autouse=True)
def no_hub(monkeypatch, tmp_path):
    import huggingface_hub.constants as constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


@pytest.fixture
def clap():
    """Make a matcher by options."""
    return lambda **options: ClapMatcher(build_config(Options, options, "clap"))


@pytest.fixture(scope="session")
def helpers():
    """The functions above, for tests that make their own models and clips."""
    return SimpleNamespace(make_model=make_model, make_folder=make_folder, make_clips=make_clips)
