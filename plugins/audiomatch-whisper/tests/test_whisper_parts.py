"""The parts of the score, each against the plain computation."""

import numpy as np
import pytest
import torch
from audiomatch_whisper.evidence import evidence, log_p_in_silence, next_token
from audiomatch_whisper.features import log_mel, pad_frames, padded_samples
from audiomatch_whisper.network import Memory, Past, decode, encode, lower_layers, upper_layers
from audiomatch_whisper.normaliser import token_log_p
from audiomatch_whisper.texts import Text, TextBatch
from hypothesis import given, settings
from hypothesis import strategies as st
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


def plain_log_p(model, states, ids):
    """Log probabilities of every token at every position, by transformers' own forward."""
    row = torch.from_numpy(ids)[None]
    logits = model(encoder_outputs=(states[None],), decoder_input_ids=row).logits[0]
    return logits, logits.log_softmax(-1)


@pytest.fixture
def texts(helpers):
    """Texts of unequal length in the ids of a model, two tokens a word, prompt of three."""
    generator = np.random.default_rng(0)

    def make(counts, end, prompt=3):
        return [
            Text(
                np.array([*generator.integers(0, end, prompt + count), end]), np.arange(count) // 2
            )
            for count in counts
        ]

    return make


def test_the_encoder_of_30_seconds_equals_that_of_transformers(helpers):
    model = helpers.make_model("english")
    mel = torch.randn(2, 80, 3000)
    with torch.inference_mode():
        plain = model.model.encoder(mel).last_hidden_state
        torch.testing.assert_close(encode(model, mel), plain, atol=1e-5, rtol=0)
        for count in (0, 1):
            halves = upper_layers(model, lower_layers(model, mel, count), count)
            torch.testing.assert_close(halves, plain, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "owner", [[0, 1, 2], [0, 0, 1, 1, 2, 2], [0, 0, 0, 2], [0, 0, 0, 1, 1, 1, 2], [1, 1]]
)
def test_texts_that_share_a_clip_read_as_if_alone(helpers, texts, owner):
    model = helpers.make_model("bytes")
    states = torch.randn(3, 50, 64)
    own = texts([1 + i % 4 for i in range(len(owner))], 256)
    batch = TextBatch.of(own, 3, 256, torch.device("cpu"))
    with torch.inference_mode():
        memory = Memory.of(model, states)
        hidden = decode(model, batch.ids, memory, np.array(owner))
        log_p = next_token(model, hidden, batch)
        for i, (text, clip) in enumerate(zip(own, owner, strict=True)):
            _, plain = plain_log_p(model, states[clip], text.ids)
            places = torch.arange(3, len(text.ids))
            wanted = plain[places - 1, torch.from_numpy(text.ids[3:])]
            torch.testing.assert_close(log_p[i, : len(wanted)], wanted, atol=1e-4, rtol=0)
            assert (log_p[i, len(wanted) :] == 0).all()


@pytest.mark.parametrize("owners", [[0, 0, 1, 1], [0, 0, 0, 1]])
def test_gradients_through_shared_clips_are_those_of_repeated_ones(helpers, texts, owners):
    model = helpers.make_model("bytes")
    own = TextBatch.of(texts([3, 1, 4, 2], 256), 3, 256, torch.device("cpu"))
    found = []
    for owner in (np.array(owners), None):
        states = torch.randn(2, 20, 64, generator=torch.Generator().manual_seed(1))
        states.requires_grad_()
        given = states if owner is not None else states[torch.tensor(owners)]
        hidden = decode(model, own.ids, Memory.of(model, given), owner)
        (next_token(model, hidden, own) * torch.arange(own.ids.shape[1] - 3)).sum().backward()
        found.append(states.grad)
    torch.testing.assert_close(found[0], found[1], atol=1e-4, rtol=1e-4)


def test_reading_token_by_token_equals_reading_at_once(helpers):
    model = helpers.make_model("bytes")
    ids = torch.randint(0, 256, (2, 7))
    with torch.inference_mode():
        memory = Memory.of(model, torch.randn(2, 30, 64))
        past = Past()
        parts = [decode(model, ids[:, :3], memory, past=past)]
        parts += [decode(model, ids[:, i : i + 1], memory, past=past) for i in range(3, 7)]
        whole = decode(model, ids, memory)
        torch.testing.assert_close(torch.cat(parts, 1), whole, atol=1e-5, rtol=0)


@pytest.mark.parametrize("trained", [False, True])
@settings(deadline=None, max_examples=20)
@given(rows=st.integers(1, 300), seed=st.integers(0, 2**16))
def test_log_probabilities_made_in_pieces_are_exact(trained, rows, seed):
    torch.manual_seed(seed)
    hidden = torch.randn(rows, 8, dtype=torch.float64, requires_grad=True)
    matrix = torch.randn(50, 8, dtype=torch.float64, requires_grad=trained)
    wanted, upstream = torch.randint(0, 50, (rows,)), torch.randn(rows)
    found = token_log_p(hidden, matrix, wanted)
    plain = (hidden @ matrix.T).log_softmax(1).gather(1, wanted[:, None])[:, 0]
    torch.testing.assert_close(found, plain.float(), atol=1e-5, rtol=0)
    [own] = torch.autograd.grad(found, hidden, upstream)
    [expected] = torch.autograd.grad(plain, hidden, upstream.double())
    torch.testing.assert_close(own, expected, atol=1e-4, rtol=0)


def test_evidence_is_made_of_the_plain_log_probabilities(helpers, texts):
    model = helpers.make_model("english")
    own = texts([5, 1, 3], 50256)
    batch = TextBatch.of(own, 3, 50256, torch.device("cpu"))
    states, silence = torch.randn(3, 50, 64), torch.randn(1, 20, 64)
    with torch.inference_mode():
        unheard = log_p_in_silence(model, batch, Memory.of(model, silence))
        found = evidence(model, batch, Memory.of(model, states), unheard)
        for i, text in enumerate(own):
            at, wanted = torch.arange(3, len(text.ids)), torch.from_numpy(text.ids[3:])
            logits, log_p = plain_log_p(model, states[i], text.ids)
            _, quiet = plain_log_p(model, silence[0], text.ids)
            log_p, quiet = log_p[at - 1, wanted], quiet[at - 1, wanted]
            gain = (log_p - quiet)[:-1]
            plain = [
                log_p[:-1].mean(), log_p[:-1].min(), logits[at, wanted][:-1].mean(),
                np.log(len(text.words)), log_p[-1], gain.mean(),
                soft_minimum(log_p[:-1], text.words), soft_minimum(gain, text.words),
            ]  # fmt: skip
            np.testing.assert_allclose(found[i].numpy(), np.array(plain), atol=1e-4)


def soft_minimum(values, words):
    sums = np.bincount(words, np.asarray(values, np.float64))
    return -2 * np.log(np.mean(np.exp(-sums / 2)))
