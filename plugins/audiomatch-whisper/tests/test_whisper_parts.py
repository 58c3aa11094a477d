"""The parts of the score, each against the plain computation."""

import numpy as np
import pytest
import torch
from audiomatch_whisper.evidence import evidence, log_p_in_silence, next_token
from audiomatch_whisper.features import log_mel, pad_frames, padded_samples
from audiomatch_whisper.network import Memory, Past, decode, encode, lower_layers, upper_layers
from audiomatch_whisper.normaliser import FixedNormaliser, log_normaliser
from audiomatch_whisper.ragged import Ragged, Reading
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
        whole = encode(model, [mel])
        assert whole.lengths == (1500, 1500)
        torch.testing.assert_close(torch.stack(whole.parts()), plain, atol=1e-5, rtol=0)
        for count in (0, 1):
            halves = upper_layers(model, lower_layers(model, [mel], count), count)
            torch.testing.assert_close(halves.flat, whole.flat, atol=1e-5, rtol=0)


def test_clips_of_unequal_length_are_encoded_as_if_alone(helpers):
    model = helpers.make_model("english")
    mels = [torch.randn(n, 80, frames) for n, frames in ((2, 300), (1, 50), (3, 200))]
    with torch.inference_mode():
        together = encode(model, mels).parts()
        alone = [encode(model, [mel[i : i + 1]]).flat for mel in mels for i in range(len(mel))]
    assert len(together) == len(alone) == 6
    for own, plain in zip(together, alone, strict=True):
        torch.testing.assert_close(own, plain, atol=1e-5, rtol=0)


def some_states(lengths):
    return [torch.randn(1, length, 64) for length in lengths]


@pytest.mark.parametrize("lengths", [(50, 50, 50), (50, 50, 30), (40, 30, 20)])
@pytest.mark.parametrize(
    "owner", [[0, 1, 2], [0, 0, 1, 1, 2, 2], [0, 0, 0, 2], [0, 0, 0, 1, 1, 1, 2], [1, 1]]
)
def test_texts_that_share_a_clip_read_as_if_alone(helpers, texts, owner, lengths):
    model = helpers.make_model("bytes")
    states = some_states(lengths)
    own = texts([1 + i % 4 for i in range(len(owner))], 256)
    # Some begin alike, one is said twice.
    own = [*own[:-1], own[-1] if len(own) < 4 else own[-2]]
    batch = TextBatch.of(own, 3, torch.device("cpu"), np.array(owner))
    with torch.inference_mode():
        memory = Memory.of(model, Ragged.of(*states))
        log_p = next_token(model, decode(model, batch.reading, memory), batch)
        for i, (text, clip) in enumerate(zip(own, owner, strict=True)):
            _, plain = plain_log_p(model, states[clip][0], text.ids)
            places = torch.arange(3, len(text.ids))
            wanted = plain[places - 1, torch.from_numpy(text.ids[3:])]
            torch.testing.assert_close(log_p[i, : len(wanted)], wanted, atol=1e-4, rtol=0)
            assert (log_p[i, len(wanted) :] == 0).all()


@settings(deadline=None, max_examples=50)
@given(
    texts=st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=6), min_size=1, max_size=8),
    data=st.data(),
)
def test_what_texts_of_a_clip_begin_with_alike_is_read_once(texts, data):
    owner = np.sort(
        data.draw(st.lists(st.integers(0, 3), min_size=len(texts), max_size=len(texts)))
    )
    reading = Reading.of(texts, torch.device("cpu"), owner)
    beginnings = {
        (clip, tuple(text[:end]))
        for text, clip in zip(texts, owner, strict=True)
        for end in range(1, len(text) + 1)
    }
    assert len(reading.ids) == len(beginnings) == reading.counts.sum()
    for text, path in zip(texts, reading.path, strict=True):
        assert reading.ids[path[: len(text)]].tolist() == text
        assert reading.places[path[: len(text)]].tolist() == list(range(len(text)))
    nodes = torch.arange(len(reading.ids))
    assert torch.equal(reading.bundles.collect(reading.bundles.spread(nodes[:, None]))[:, 0], nodes)


@pytest.mark.parametrize("owners", [[0, 0, 1, 1], [0, 0, 0, 1]])
def test_gradients_through_shared_clips_are_those_of_repeated_ones(helpers, texts, owners):
    model = helpers.make_model("bytes")
    own = texts([3, 1, 4, 2], 256)
    found = []
    for owner in (np.array(owners), None):
        batch = TextBatch.of(own, 3, torch.device("cpu"), owner)
        states = torch.randn(2, 20, 64, generator=torch.Generator().manual_seed(1))
        states.requires_grad_()
        given = states if owner is not None else states[torch.tensor(owners)]
        hidden = decode(model, batch.reading, Memory.of(model, Ragged.of(given)))
        (next_token(model, hidden, batch) * torch.arange(batch.mask.shape[1])).sum().backward()
        found.append(states.grad)
    torch.testing.assert_close(found[0], found[1], atol=1e-4, rtol=1e-4)


def test_reading_token_by_token_equals_reading_at_once(helpers):
    model = helpers.make_model("bytes")
    ids = torch.randint(0, 256, (2, 7))
    with torch.inference_mode():
        memory = Memory.of(model, Ragged.of(torch.randn(2, 30, 64)))
        past = Past()
        pieces = [ids[:, :3], *ids[:, 3:].split(1, dim=1)]
        parts = []
        for piece in pieces:
            reading = Reading.side_by_side(piece, past.read)
            parts.append(decode(model, reading, memory, past=past)[reading.path])
        reading = Reading.side_by_side(ids)
        whole = decode(model, reading, memory)[reading.path]
        torch.testing.assert_close(torch.cat(parts, 1), whole, atol=1e-5, rtol=0)


@pytest.mark.parametrize("trained", [False, True])
@settings(deadline=None, max_examples=20)
@given(rows=st.integers(1, 300), size=st.sampled_from([50, 8192, 20000]), seed=st.integers(0, 999))
def test_the_normaliser_made_in_pieces_is_exact(trained, rows, size, seed):
    torch.manual_seed(seed)
    hidden = torch.randn(rows, 8, dtype=torch.float64, requires_grad=True)
    matrix = 5 * torch.randn(size, 8, dtype=torch.float64)
    matrix.requires_grad_(trained)
    upstream = torch.randn(rows)
    found = log_normaliser(hidden, matrix)
    plain = (hidden @ matrix.T).logsumexp(1)
    torch.testing.assert_close(found, plain.float(), atol=1e-4, rtol=0)
    [own] = torch.autograd.grad(found, hidden, upstream)
    [expected] = torch.autograd.grad(plain, hidden, upstream.double())
    torch.testing.assert_close(own, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("in_bytes", [False, True])
def test_the_normaliser_in_few_bits_is_near(in_bytes):
    torch.manual_seed(0)
    matrix, hidden = 0.3 * torch.randn(20000, 64), torch.randn(300, 64, requires_grad=True)
    fixed = FixedNormaliser(matrix, in_bytes)
    plain = (hidden @ matrix.T).logsumexp(1)
    for found in (fixed(hidden.detach()), fixed(hidden)):
        torch.testing.assert_close(found, plain, atol=0.1, rtol=0)
    [own] = torch.autograd.grad(fixed(hidden).sum(), hidden)
    [expected] = torch.autograd.grad(plain.sum(), hidden)
    torch.testing.assert_close(own, expected, atol=0.1, rtol=0)


def test_evidence_is_made_of_the_plain_log_probabilities(helpers, texts):
    model = helpers.make_model("english")
    own = texts([5, 1, 3], 50256)
    batch = TextBatch.of(own, 3, torch.device("cpu"))
    of_one_clip = TextBatch.of(own, 3, torch.device("cpu"), np.zeros(3, dtype=np.int64))
    states, silence = torch.randn(3, 50, 64), torch.randn(1, 20, 64)
    with torch.inference_mode():
        unheard = log_p_in_silence(model, of_one_clip, Memory.of(model, Ragged.of(silence)))
        found = evidence(model, batch, Memory.of(model, Ragged.of(states)), unheard)
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
