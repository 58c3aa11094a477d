"""Qwen3-ASR: its log probabilities against transformers' own, its prompt, and bad folders."""

from __future__ import annotations

import contextlib
import json

import numpy as np
import pytest
import torch
from audiomatch_asr.families import find, load, read_texts
from audiomatch_asr.matcher import ASRMatcher
from audiomatch_asr.scoring import evidence_of
from audiomatch_torch import Compute
from audiomatch_torch.testing import each_number, smuggle_code, use_on_pretend_device
from transformers import Qwen3ASRForConditionalGeneration, Qwen3ASRProcessor

from audiomatch.config import build_config
from audiomatch.errors import UserError, WeightsError


def make(**options):
    return ASRMatcher(build_config(ASRMatcher.Config, options, "asr"))


def noise(seconds, seed=0):
    return np.random.default_rng(seed).normal(size=int(seconds * 16_000)).astype(np.float32)


def refused(folder, language="en"):
    with pytest.raises(UserError) as error:
        load(find(str(folder)), language)
    line = str(error.value)
    assert "\n" not in line
    return line


def change(folder, file, **changes):
    """Change numbers of a JSON file; `part.name` is of a part."""
    content = json.loads((folder / file).read_text())
    for path, value in changes.items():
        part, _, name = path.rpartition("__")
        (content[part] if part else content)[name] = value
    (folder / file).write_text(json.dumps(content))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("seconds", "language", "name"),
    [(2.34, "en", "English"), (0.2, "de", "German"), (9.03, "en", "English")],
)
def test_log_probabilities_are_those_of_one_token_after_the_other(
    seconds, language, name, dtype, qwen3_asr
):
    folder = qwen3_asr(dtype=dtype)
    asr = load(find(str(folder)), language)
    theirs = Qwen3ASRForConditionalGeneration.from_pretrained(
        folder, local_files_only=True, dtype=torch.float32
    ).eval()
    processor = Qwen3ASRProcessor.from_pretrained(folder, local_files_only=True)
    ends = theirs.config.eos_token_id
    texts = [asr.texts.spell(text).ids for text in ("paper boat", "moon", "naïve")]
    audio = [noise(seconds, seed) for seed in range(3)]
    with torch.inference_mode():
        features = torch.from_numpy(np.stack([asr.features(one) for one in audio]))
        found = asr.log_probs(asr.encode(features), texts)
        for row, ids in enumerate(texts):
            given = processor.apply_transcription_request(audio[row], language=name)
            for at, token in enumerate([*ids.tolist(), None]):
                log_p = theirs(**given).logits[0, -1].log_softmax(0)
                own = log_p[ends].logsumexp(0) if token is None else log_p[token]
                assert found[row, at].item() == pytest.approx(own.item(), abs=2e-5)
                if token is not None:
                    more = torch.tensor([[token]])
                    given["input_ids"] = torch.cat([given["input_ids"], more], dim=1)
                    one = torch.ones_like(more)
                    given["attention_mask"] = torch.cat([given["attention_mask"], one], dim=1)
            assert (found[row, len(ids) + 1 :] == 0).all()
    assert np.ptp(found[:, 0].numpy()) > 0.01  # it depends on the clip and the text


def test_a_saved_model_predicts_the_same_without_its_weights(clips, qwen3_asr, run, tmp_path):
    matcher = make(weights=str(qwen3_asr(dtype=torch.bfloat16)))
    assert matcher.refuses(clips, run) == [None] * len(clips)
    matcher.fit(clips, run)
    p = matcher.predict(clips.unlabelled(), run)
    assert p.shape == (len(clips),) and np.ptp(p) > 0
    (tmp_path / "model").mkdir()
    matcher.save(tmp_path / "model")
    again = make(weights=str(tmp_path / "gone"))
    again.load(tmp_path / "model")
    assert np.array_equal(again.predict(clips.unlabelled(), run), p)
    Qwen3ASRProcessor.from_pretrained(tmp_path / "model", local_files_only=True)


def test_the_evidence_of_a_clip_does_not_depend_on_the_others(clips, qwen3_asr, run):
    asr = load(find(str(qwen3_asr())), "en")
    with Compute(run) as compute:
        found = evidence_of(clips, asr, None, compute)
        alone = [evidence_of(clips.take([i]), asr, None, compute)[0] for i in range(len(clips))]
    assert np.ptp(found, axis=0).min() > 0
    assert np.abs(found - alone).max() < 1e-4


def test_it_works_on_a_device_that_does_not_mix_with_the_cpu(clips, qwen3_asr, tmp_path):
    folder = str(qwen3_asr())
    (tmp_path / "device").mkdir()
    use_on_pretend_device(lambda: make(weights=folder), clips, tmp_path / "device")


def test_a_text_follows_the_prompt_without_a_space(qwen3_asr):
    texts = read_texts(find(str(qwen3_asr())), "en")
    spelling = texts.spell("moon at bat")
    assert texts.tokenizer.convert_ids_to_tokens(spelling.ids) == [
        "moon", "Ġ", "at", "Ġb", "at"
    ]  # fmt: skip
    assert spelling.words.tolist() == [0, 1, 1, 2, 2]
    assert texts.refused("青い鳥 moon") is None


def test_too_long_a_text_is_refused(qwen3_asr):
    texts = read_texts(find(str(qwen3_asr())), "en")
    assert texts.refused("b" * texts.longest) is None
    assert "tokens long; the model of asr takes" in texts.refused("b" * (texts.longest + 1))


def test_a_language_that_it_does_not_know_is_refused(qwen3_asr):
    assert "no language 'xx'; " in refused(qwen3_asr(), "xx")


def test_the_format_of_the_authors_is_refused(qwen3_asr):
    folder = qwen3_asr()
    change(folder, "config.json", thinker_config={})
    assert "Qwen's own format; take that of transformers" in refused(folder)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"text_config__hidden_size": 16}, "the model wants"),
        ({"eos_token_id": [10_000]}, "other tokens than the model"),
        ({"eos_token_id": []}, "other tokens than the model"),
        ({"audio_config__n_window": 25}, "not those of a Qwen3-ASR"),
        ({"audio_config__n_window_infer": 0}, "not those of a Qwen3-ASR"),
        ({"audio_config__num_mel_bins": 15}, "the features have 16 mels, the encoder wants 15"),
        ({"audio_config__model_type": "wav2vec2"}, "config.json"),
    ],
)
def test_a_folder_that_contradicts_itself_is_refused(changes, line, qwen3_asr):
    folder = qwen3_asr()
    change(folder, "config.json", **changes)
    assert line in refused(folder)


def test_a_tokenizer_without_the_marks_of_the_prompt_is_refused(qwen3_asr):
    folder = qwen3_asr()
    for file in ("tokenizer.json", "tokenizer_config.json"):
        text = (folder / file).read_text()
        (folder / file).write_text(text.replace("<asr_text>", "<other>"))
    assert "has no <asr_text>" in refused(folder)


@pytest.mark.parametrize("file", ["tokenizer.json", "processor_config.json", "model.safetensors"])
def test_a_missing_file_is_named(file, qwen3_asr):
    folder = qwen3_asr()
    (folder / file).unlink()
    assert file.removeprefix("model").removeprefix("processor_") in refused(folder)


def test_no_number_of_a_folder_takes_memory(qwen3_asr):
    folder, named = qwen3_asr(), set()
    for name in each_number(folder, 10**9):
        try:
            load(find(str(folder)), "en")
        except WeightsError as error:
            assert "\n" not in str(error)
            named.add(name)
    assert any("n_window" in name for name in named)


def test_code_in_a_folder_does_not_run(qwen3_asr):
    folder = qwen3_asr()
    ran = smuggle_code(folder)
    with contextlib.suppress(WeightsError):
        load(find(str(folder)), "en")
    assert not ran.exists()
