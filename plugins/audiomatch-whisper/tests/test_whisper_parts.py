"""The parts of the score, each against the plain computation."""

import numpy as np
import pytest
import torch
from audiomatch_whisper.evidence import decode, encode, evidence, next_token, pad_ids, same_position
from audiomatch_whisper.features import log_mel, pad_frames, padded_samples
from transformers import WhisperFeatureExtractor

from audiomatch.audio import load_audio


@pytest.mark.parametrize("bins", [80, 128])
@pytest.mark.parametrize("seconds", [0.02, 1.3, 29.2, 30.0])
def test_padded_features_equal_those_of_30_seconds(tmp_path, helpers, bins, seconds):
    clip = helpers.make_clips(tmp_path, [seconds])
    audio = load_audio(clip.paths[0])
    extractor = WhisperFeatureExtractor(feature_size=bins)
    whole = extractor(audio, sampling_rate=16000, return_tensors="np").input_features[0]
    own = log_mel(audio, extractor, margin=0.5)
    assert own.shape[1] < 3000 or seconds > 29
    np.testing.assert_allclose(own, whole[:, : own.shape[1]], atol=1e-4)
    np.testing.assert_allclose(pad_frames(own, 3000), whole, atol=1e-4)


def test_lengths_are_rounded_up_and_end_at_30_seconds():
    assert padded_samples(16000, 0.5) == 24000
    assert padded_samples(16001, 0.5) == 32000
    assert padded_samples(29 * 16000 + 16000, 0.5) == 30 * 16000


def test_the_encoder_of_30_seconds_equals_that_of_transformers(helpers):
    model = helpers.make_model("english")
    mel = torch.randn(2, 80, 3000)
    with torch.inference_mode():
        plain = model.model.encoder(mel).last_hidden_state
        torch.testing.assert_close(encode(model, mel), plain, atol=1e-5, rtol=0)


def test_logits_of_the_tokens_asked_for_equal_the_full_vocabulary(helpers):
    model = helpers.make_model("multilingual")
    generator = np.random.default_rng(0)
    texts = [generator.integers(0, 50000, n) for n in (9, 5, 7)]
    ids, mask = pad_ids(texts, 50257)
    states = torch.randn(3, 50, 64)
    with torch.inference_mode():
        hidden = decode(model, ids, states)
        same = same_position(model, hidden, ids, mask, prompt=4)
        log_p = next_token(model, hidden, ids, mask, prompt=4)
        for i, text in enumerate(texts):
            alone = torch.from_numpy(text)[None]
            logits = model(encoder_outputs=(states[i : i + 1],), decoder_input_ids=alone).logits[0]
            positions = torch.arange(4, len(text))
            assert float(same[i]) == pytest.approx(
                float(logits[positions, alone[0, 4:]].mean()), abs=1e-4
            )
            plain = logits.log_softmax(-1)[positions - 1, alone[0, 4:]]
            torch.testing.assert_close(log_p[i, : len(plain)], plain, atol=1e-4, rtol=0)
            assert (log_p[i, len(plain) :] == 0).all()


def test_evidence_is_made_of_the_plain_log_probabilities(helpers):
    model = helpers.make_model("english")
    end = 50256
    generator = np.random.default_rng(0)
    texts = [np.array([50257, 50362, *generator.integers(0, 50000, n), end]) for n in (5, 1, 3)]
    ids, mask = pad_ids(texts, end)
    states = torch.randn(3, 50, 64)
    with torch.inference_mode():
        found = evidence(model, decode(model, ids, states), ids, mask, prompt=2)
        for i, text in enumerate(texts):
            alone = torch.from_numpy(text)[None]
            logits = model(encoder_outputs=(states[i : i + 1],), decoder_input_ids=alone).logits[0]
            at = torch.arange(2, len(text))
            log_p = logits.log_softmax(-1)[at - 1, alone[0, 2:]]
            same = logits[at, alone[0, 2:]][:-1].mean()
            plain = [log_p[:-1].mean(), log_p[:-1].min(), same, np.log(len(text) - 3), log_p[-1]]
            np.testing.assert_allclose(found[i].numpy(), np.array(plain), atol=1e-4)
