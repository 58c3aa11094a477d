"""Whether a text was said to its end, and nothing after it: planted answers and what shows them."""

import numpy as np
import pytest
import torch
from audiomatch_whisper.net.decoder import CrossAttentionCache, decode
from audiomatch_whisper.net.prefix_tree import PrefixTree
from audiomatch_whisper.net.ragged import Ragged
from audiomatch_whisper.score.alignment import FollowingHeads, cross_attention, smoothed
from audiomatch_whisper.score.head import ProductHead
from audiomatch_whisper.sound.log_mel import log_mel, mel_bounds
from audiomatch_whisper.sound.speech import speech_bounds
from audiomatch_whisper.train.planted import KINDS, SHARES, plant
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import median_filter
from transformers import WhisperFeatureExtractor

from audiomatch.audio import load_clip

LOGITS = st.floats(-30, 30)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(LOGITS, LOGITS), min_size=1, max_size=5))
def test_the_head_is_the_product_of_its_parts(pairs):
    head = ProductHead([1, 1])
    with torch.no_grad():
        for part in head.parts:
            part.linear.weight.fill_(1.0)
            part.linear.bias.zero_()
        found = head(torch.tensor(pairs)).double().sigmoid()
    parts = torch.tensor(pairs, dtype=torch.float64).sigmoid()
    torch.testing.assert_close(found, parts.prod(1), atol=1e-6, rtol=1e-3)


def test_what_one_part_says_against_a_match_the_other_cannot_outweigh():
    generator = np.random.default_rng(0)
    holds = generator.random((400, 2)) < 0.7
    evidence = 4 * (holds - 0.5) + generator.standard_normal((400, 2))
    head = ProductHead([1, 1])
    head.fit(evidence, holds.all(1).astype(np.int8))
    with torch.no_grad():
        logits = head(torch.tensor([[9.0, -3.0], [-3.0, 9.0], [3.0, 3.0]]))
    assert logits[0] < -1 and logits[1] < -1 and logits[2] > 1


def test_answers_of_little_weight_move_little():
    generator = np.random.default_rng(1)
    labels = np.arange(200) % 2
    evidence = np.column_stack([labels, np.zeros(200)]) + generator.standard_normal((200, 2))
    planted = np.column_stack([np.ones(200), np.full(200, -4.0)])
    both = np.concatenate([evidence, planted]), np.repeat([*labels, 0], [*[1] * 200, 200])
    found = []
    for weight in (1e-9, 1.0):
        head = ProductHead([1, 1])
        head.fit(*both, np.repeat([1.0, weight], 200))
        with torch.no_grad():
            found.append(head(torch.tensor(planted[:1], dtype=torch.float32)).item())
    assert found[1] < -2 < 0 < found[0]


def test_planted_answers_are_mismatches_of_the_matches(corpus):
    def planted_in(clips, most=8):
        found = plant(clips, 0.1, 0, lambda text: text != "the dog", most)
        own = len(clips)
        assert found.own == own and found.clips.take(np.arange(own)).ids == clips.ids
        assert found.weights[own:].sum() == pytest.approx(0.1 * own)
        return found.clips.take(np.arange(own, len(found.clips)))

    planted = planted_in(corpus)
    assert set(planted.labels) == {0} and len(set(planted.ids)) == len(planted)
    assert "the dog" not in planted.texts
    matches = {one: i for i, one in enumerate(corpus.ids) if corpus.labels[i]}
    kinds = {name.partition("#")[2] for name in planted.ids}
    assert kinds == {"cut", *(kind.name.lower() for kind in KINDS)}
    for i, name in enumerate(planted.ids):
        whole, _, kind = name.partition("#")
        row = matches[whole]
        own, full = load_clip(planted, i), load_clip(corpus, row)
        if kind == "cut":
            assert len(corpus.texts[row].split()) > 1 and planted.texts[i] == corpus.texts[row]
            assert SHARES[0] * 0.9 < len(own) / len(full) < SHARES[1] + 0.1
            np.testing.assert_array_equal(own, full[: len(own)])
        else:
            assert planted.texts[i] != corpus.texts[row] and len(own) == len(full)
    again = planted_in(corpus)
    assert again.texts == planted.texts and again.digests == planted.digests
    assert len(set(planted_in(corpus, most=1).digests)) <= 2


def test_the_attention_of_clips_together_is_that_of_each_alone(helpers):
    model = helpers.make_model("bytes")
    states = [torch.randn(1, 30, 64), torch.randn(1, 50, 64)]
    texts = [[257, 264, 5, 6], [257, 264, 7]]
    with torch.inference_mode():
        cache = CrossAttentionCache.of(model.model.decoder, Ragged.of(*states))
        tree = PrefixTree.of(texts, torch.device("cpu"))
        following = FollowingHeads(model)
        decode(model.model.decoder, tree, cache, on_attention=following.take)
        for i, ids in enumerate(texts):
            own = following.of(tree.paths[i, : len(ids)].numpy())  # (heads, t, s)
            alone = cross_attention(model, ids, cache.clip(i))
            length = alone.shape[2]
            np.testing.assert_allclose(own[..., :length], alone, atol=1e-6)
            assert not own[..., length:].any()


@pytest.mark.parametrize("count", [1, 2, 3, 50])
def test_attention_is_smoothed_by_the_median_of_seven(count):
    weights = np.random.default_rng(count).standard_normal((2, 3, count))
    wanted = median_filter(weights, size=(1, 1, 7), mode="reflect")
    np.testing.assert_array_equal(smoothed(weights), wanted)


@pytest.mark.parametrize("silence", [0.0, 1.5])
def test_a_spectrogram_says_when_the_sound_begins_and_ends(silence):
    extractor = WhisperFeatureExtractor()
    audio = 1e-3 * np.random.default_rng(0).standard_normal(3 * 16000).astype(np.float32)
    audio[16000:32000] *= 300
    audio = np.pad(audio, (0, int(16000 * silence)))
    assert mel_bounds(log_mel(audio, extractor, 0.3)) == pytest.approx(
        speech_bounds(audio), abs=0.05
    )
    quiet = log_mel(np.zeros(16000, np.float32), extractor, 0.3)
    assert mel_bounds(quiet) == (0.0, 1.5)
