"""Size-reduced checkpoints in the published formats, and clips to judge."""

from __future__ import annotations

import json
import string

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertModel,
    HubertConfig,
    HubertModel,
    WhisperConfig,
    WhisperForConditionalGeneration,
)

from audiomatch import Run
from audiomatch.clips import Clips
from audiomatch.config import build_config

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
VOCABULARY = [*SPECIAL, *string.ascii_lowercase, *(f"##{c}" for c in string.ascii_lowercase)]
TEXTS = ("moon", "the dog ran", "chav", "a little green hat", "żółw 蓝")
WHISPER_PROMPT = ("<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|transcribe|>",
                  "<|notimestamps|>")  # fmt: skip


def write_minilm(folder):
    """A one-layer BERT in the layout of sentence-transformers/all-MiniLM-L6-v2 on the hub."""
    torch.manual_seed(1)
    shape = BertConfig(
        vocab_size=len(VOCABULARY), hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=64, initializer_range=0.2,
    )  # fmt: skip
    BertModel(shape).save_pretrained(folder)
    words = {token: i for i, token in enumerate(VOCABULARY)}
    tokenizer = Tokenizer(models.WordPiece(words, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
    names = dict(zip(("pad", "unk", "cls", "sep", "mask"), SPECIAL, strict=True))
    library = "sentence_transformers.models"
    parts = (("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize"))
    files = {
        "tokenizer_config.json": {
            **{f"{key}_token": token for key, token in names.items()},
            "do_lower_case": True, "model_max_length": 64, "tokenizer_class": "BertTokenizer",
        },
        "modules.json": [
            {"idx": i, "name": str(i), "path": path, "type": f"{library}.{kind}"}
            for i, (kind, path) in enumerate(parts)
        ],
        "sentence_bert_config.json": {"max_seq_length": 64, "do_lower_case": False},
        "1_Pooling/config.json": {
            "word_embedding_dimension": 32, "pooling_mode_mean_tokens": True,
            "pooling_mode_cls_token": False, "pooling_mode_max_tokens": False,
            "pooling_mode_mean_sqrt_len_tokens": False,
        },
        "config_sentence_transformers.json": {"__version__": {"sentence_transformers": "2.0.0"}},
    }  # fmt: skip
    (folder / "1_Pooling").mkdir()
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
    return folder


def write_whisper(folder):
    """A one-layer Whisper with a tokenizer of bytes, as published but for its size."""
    torch.manual_seed(2)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({c: i for i, c in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.add_special_tokens(list(WHISPER_PROMPT))
    shape = WhisperConfig(
        vocab_size=256 + len(WHISPER_PROMPT), d_model=64, init_std=0.1,
        encoder_layers=1, decoder_layers=1, encoder_attention_heads=1, decoder_attention_heads=1,
        encoder_ffn_dim=64, decoder_ffn_dim=64, bos_token_id=256, eos_token_id=256,
        pad_token_id=256, decoder_start_token_id=257,
    )  # fmt: skip
    WhisperForConditionalGeneration(shape).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def write_hubert(folder):
    """A one-layer HuBERT with the published strides, as transformers saves it."""
    torch.manual_seed(3)
    shape = HubertConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
        conv_dim=(16,) * 7, num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=4,
    )  # fmt: skip
    HubertModel(shape).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    made = {}
    for write in (write_minilm, write_whisper, write_hubert):
        name = write.__name__.removeprefix("write_")
        made[name] = write(tmp_path_factory.mktemp(name))
    return made


@pytest.fixture
def run(tmp_path):
    return Run(cache=tmp_path / "cache")


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """Sixty clips of five texts: a match lasts as long as its text, a mismatch does not."""
    folder = tmp_path_factory.mktemp("clips")
    generator = np.random.default_rng(0)
    rows = []
    for i in range(60):
        text, match = TEXTS[i % 5], i // 5 % 2
        length = 0.12 * len(text) * (1 if match else (0.4, 2.2)[i % 2])
        time = np.arange(int(length * 16000)) / 16000
        wave = 0.3 * np.sin(2 * np.pi * generator.uniform(200, 900) * time * (1 + time))
        path = folder / f"{i}.wav"
        soundfile.write(path, wave + 0.02 * generator.standard_normal(len(time)), 16000)
        facts = {"audio": str(path), "expected_text": text, "match": match}
        rows.append({"id": f"c{i}", **facts})
    return Clips(pd.DataFrame(rows)).with_groups([f"v{i % 6}" for i in range(60)])


@pytest.fixture
def two_tower(folders):
    """Make a matcher over the tiny checkpoints."""
    from audiomatch_two_tower.matcher import TwoTowerMatcher

    def make(audio="cnn", **options):
        options.setdefault("text_weights", str(folders["minilm"]))
        if audio in folders:
            options.setdefault("audio_weights", str(folders[audio]))
            audio = "transformer"
        options = {"epochs": 2, "width": 8, "hidden": 8, "audio": audio, **options}
        return TwoTowerMatcher(build_config(TwoTowerMatcher.Config, options, "two-tower"))

    return make


@pytest.fixture
def copy_of(folders, tmp_path):
    """Copy a checkpoint to change it."""
    import shutil

    def make(name, **config):
        folder = tmp_path / f"copy-of-{name}"
        shutil.copytree(folders[name], folder)
        file = folder / "config.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **config}))
        return folder

    return make


@pytest.fixture
def offline(monkeypatch):
    """Make the hub and its cache unreachable, and forget who was asked."""
    import audiomatch_torch.hub
    import huggingface_hub.constants as constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", "/nonexistent/hub")
    audiomatch_torch.hub.unreachable.cache_clear()
    yield
    audiomatch_torch.hub.unreachable.cache_clear()
