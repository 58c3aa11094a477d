"""Moonshine: its log probabilities against transformers' own, its texts, and bad folders."""

from __future__ import annotations

import contextlib
import json

import numpy as np
import pytest
import torch
from audiomatch_asr.families import find, load, read_texts
from audiomatch_torch.testing import each_number, smuggle_code
from transformers import MoonshineForConditionalGeneration

from audiomatch.errors import UserError, WeightsError


def noise(seconds, seed=0):
    return np.random.default_rng(seed).normal(size=int(seconds * 16_000)).astype(np.float32)


def refused(folder):
    with pytest.raises(WeightsError) as error:
        load(find(str(folder)), "en")
    line = str(error.value)
    assert "\n" not in line
    return line


def test_log_probabilities_are_those_of_one_token_after_the_other(checkpoint):
    folder = checkpoint()
    asr = load(find(str(folder)), "en")
    theirs = MoonshineForConditionalGeneration.from_pretrained(folder, local_files_only=True).eval()
    texts = [asr.texts.spell(text).ids for text in ("paper boat", "moon", "naïve")]
    audio = torch.from_numpy(np.stack([asr.features(noise(0.7, seed)) for seed in range(3)]))
    with torch.inference_mode():
        found = asr.log_probs(asr.encode(audio), texts)
        for row, ids in enumerate(texts):
            inputs = audio[row : row + 1]
            mask = torch.ones_like(inputs, dtype=torch.long)
            given = torch.tensor([[theirs.config.decoder_start_token_id]])
            for at, token in enumerate([*ids.tolist(), theirs.config.eos_token_id]):
                logits = theirs(
                    input_values=inputs, attention_mask=mask, decoder_input_ids=given
                ).logits
                own = logits[0, -1].log_softmax(0)[token]
                assert found[row, at].item() == pytest.approx(own.item(), abs=1e-5)
                given = torch.cat([given, torch.tensor([[token]])], dim=1)
            assert (found[row, len(ids) + 1 :] == 0).all()


def test_a_text_is_tokens_of_its_words(checkpoint):
    texts = read_texts(find(str(checkpoint())), "en")
    spelling = texts.spell("moon at naïve")
    tokens = texts.tokenizer.convert_ids_to_tokens(spelling.ids)
    assert tokens == ["▁moon", "▁", "at", "▁", "n", "a", "<0xC3>", "<0xAF>", "v", "e"]
    assert spelling.words.tolist() == [0, 1, 1, *[2] * 7]
    assert texts.refused("青い鳥 moon") is None


def test_what_has_no_tokens_or_too_many_is_refused(checkpoint):
    texts = read_texts(find(str(checkpoint(fallback=False))), "en")
    assert texts.refused("the moon") is None
    assert texts.refused("moon naïve") == "the model of asr has no tokens for 'naïve'"
    assert texts.refused(" ".join(["b"] * 31)) is None  # 62 tokens
    assert "64 tokens long; the model of asr takes 63" in texts.refused(" ".join(["b"] * 32))


def test_the_shortest_clip_is_read(checkpoint):
    asr = load(find(str(checkpoint())), "en")
    states = asr.encode(torch.from_numpy(asr.features(noise(0.001)))[None])
    assert states.shape[1] >= 1


@pytest.mark.parametrize("kind", ["whisper", "qwen3_omni_moe", "moonshine_streaming", None])
def test_another_architecture_is_refused(kind, checkpoint):
    folder = checkpoint()
    (folder / "config.json").write_text(json.dumps({"model_type": kind}))
    line = refused(folder)
    assert (kind or "no known type") in line and "not a Moonshine or a Qwen3-ASR" in line


@pytest.mark.parametrize(
    "missing", ["config.json", "tokenizer.json", "preprocessor_config.json", "model.safetensors"]
)
def test_a_missing_file_is_named(missing, checkpoint):
    folder = checkpoint()
    (folder / missing).unlink()
    assert missing.removeprefix("model") in refused(folder)


@pytest.mark.parametrize(
    ("file", "change", "line"),
    [
        ("config.json", {"hidden_size": 16}, "the model wants"),
        ("config.json", {"eos_token_id": 10_000}, "other tokens than the model"),
        ("config.json", {"eos_token_id": [2]}, "other tokens than the model"),
        ("config.json", {"hidden_size": "wide"}, "config.json"),
        ("preprocessor_config.json", {"sampling_rate": 8000}, "8000 Hz"),
        ("tokenizer.json", {"model": None}, "the tokenizer is not readable"),
    ],
)
def test_a_folder_that_contradicts_itself_is_refused(file, change, line, checkpoint):
    folder = checkpoint()
    content = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps({**content, **change}))
    assert line in refused(folder)


def test_truncated_weights_are_refused(checkpoint):
    file = checkpoint() / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    assert "not readable as safetensors" in refused(file.parent)


def test_a_language_is_refused(checkpoint):
    with pytest.raises(UserError, match="a Moonshine is not told the language"):
        load(find(str(checkpoint())), "de")


def test_nothing_is_made_from_scratch():
    with pytest.raises(WeightsError, match="trains no weights"):
        find("scratch")


def test_no_number_of_a_folder_takes_memory(checkpoint):
    folder, named = checkpoint(), set()
    for name in each_number(folder, 10**9):
        try:
            load(find(str(folder)), "en")
        except WeightsError as error:
            assert "\n" not in str(error)
            named.add(name.split("'")[1])
    assert named >= {"vocab_size", "hidden_size", "decoder_num_hidden_layers"}


def test_code_in_a_folder_does_not_run(checkpoint):
    folder = checkpoint()
    ran = smuggle_code(folder)
    with contextlib.suppress(WeightsError):
        load(find(str(folder)), "en")
    assert not ran.exists()
