"""The parts of the network and of the score, each against the plain computation."""

import numpy as np
import pytest
import torch
from audiomatch_whisper.net.decoder import CrossAttentionCache, SelfAttentionCache, decode
from audiomatch_whisper.net.encoder import encode, encode_first_layers, encode_last_layers
from audiomatch_whisper.net.modules import Linear, in_bfloat16
from audiomatch_whisper.net.prefix_tree import PrefixTree
from audiomatch_whisper.net.ragged import Ragged
from audiomatch_whisper.net.softmax import QuantisedNormaliser, log_normaliser
from audiomatch_whisper.score.features import ScoreFeatures
from audiomatch_whisper.score.targets import Target, TargetBatch
from audiomatch_whisper.score.tokens import read_tokens, same_position_logit, score_tokens
from audiomatch_whisper.sound.log_mel import log_mel, pad_frames, padded_samples
from audiomatch_whisper.sound.mel_filters import MelExtractor
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import WhisperFeatureExtractor

from audiomatch.audio import load_audio
from audiomatch.level import at_one_level


@pytest.mark.parametrize("bins", [80, 128])
@pytest.mark.parametrize("seconds", [0.02, 1.3, 29.2, 30.0])
def test_padded_features_equal_those_of_30_seconds(tmp_path, helpers, bins, seconds):
    clip = helpers.make_clips(tmp_path, [seconds])
    audio = load_audio(clip.paths[0])
    extractor = WhisperFeatureExtractor(feature_size=bins)
    levelled = at_one_level(audio)
    whole = extractor(levelled, sampling_rate=16000, return_tensors="np").input_features[0]
    own = log_mel(audio, MelExtractor(bins), margin=0.5)
    assert own.shape[1] < 3000 or seconds > 29
    np.testing.assert_allclose(own, whole[:, : own.shape[1]], atol=1e-4)
    np.testing.assert_allclose(pad_frames(own, 3000), whole, atol=1e-4)


def test_lengths_are_rounded_up_and_end_at_30_seconds():
    assert padded_samples(16000, 0.5) == 24000
    assert padded_samples(16001, 0.5) == 32000
    assert padded_samples(29 * 16000 + 16000, 0.5) == 30 * 16000


def all_ids(target):
    return [*target.prompt, *target.tokens]


def plain_log_p(model, states, target):
    """Log probabilities of every token at every position, by transformers' own forward."""
    row = torch.tensor([all_ids(target)])
    logits = model(encoder_outputs=(states[None],), decoder_input_ids=row).logits[0]
    return logits, logits.log_softmax(-1)


@pytest.fixture
def targets():
    """Texts of unequal length in the ids of a model, two tokens a word, prompt of three."""
    generator = np.random.default_rng(0)

    def make(counts, end):
        ids = [generator.integers(0, end, 3 + count).tolist() for count in counts]
        return [
            Target(tuple(own[:3]), (*own[3:], end), np.arange(count) // 2)
            for own, count in zip(ids, counts, strict=True)
        ]

    return make


def test_the_encoder_of_30_seconds_equals_that_of_transformers(helpers):
    model = helpers.make_model("english")
    mel = torch.randn(2, 80, 3000)
    with torch.inference_mode():
        plain = model.model.encoder(mel).last_hidden_state
        whole = encode(model.model.encoder, [mel])
        assert whole.lengths == (1500, 1500)
        torch.testing.assert_close(torch.stack(whole.sequences()), plain, atol=1e-5, rtol=0)
        for count in (0, 1):
            halves = encode_last_layers(
                model.model.encoder, encode_first_layers(model.model.encoder, [mel], count), count
            )
            torch.testing.assert_close(halves.flat, whole.flat, atol=1e-5, rtol=0)


def test_clips_of_unequal_length_are_encoded_as_if_alone(helpers):
    model = helpers.make_model("english")
    mels = [torch.randn(n, 80, frames) for n, frames in ((2, 300), (1, 50), (3, 200))]
    with torch.inference_mode():
        together = encode(model.model.encoder, mels).sequences()
        alone = [
            encode(model.model.encoder, [mel[i : i + 1]]).flat
            for mel in mels
            for i in range(len(mel))
        ]
    assert len(together) == len(alone) == 6
    for own, plain in zip(together, alone, strict=True):
        torch.testing.assert_close(own, plain, atol=1e-5, rtol=0)


def some_states(lengths):
    return [torch.randn(1, length, 64) for length in lengths]


@pytest.mark.parametrize("lengths", [(50, 50, 50), (50, 50, 30), (40, 30, 20)])
@pytest.mark.parametrize(
    "owner", [[0, 1, 2], [0, 0, 1, 1, 2, 2], [0, 0, 0, 2], [0, 0, 0, 1, 1, 1, 2], [1, 1]]
)
def test_texts_that_share_a_clip_read_as_if_alone(helpers, targets, owner, lengths):
    model = helpers.make_model("bytes")
    states = some_states(lengths)
    own = targets([1 + i % 4 for i in range(len(owner))], 256)
    # Some begin alike, one is said twice.
    own = [*own[:-1], own[-1] if len(own) < 4 else own[-2]]
    batch = TargetBatch.of(own, torch.device("cpu"), np.array(owner))
    with torch.inference_mode():
        cache = CrossAttentionCache.of(model.model.decoder, Ragged.of(*states))
        log_p = score_tokens(model, batch, cache)
        for i, (target, clip) in enumerate(zip(own, owner, strict=True)):
            _, plain = plain_log_p(model, states[clip][0], target)
            places = torch.arange(3, 3 + len(target.tokens))
            wanted = plain[places - 1, torch.tensor(target.tokens)]
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
    tree = PrefixTree.of(texts, torch.device("cpu"), owner)
    beginnings = {
        (clip, tuple(text[:end]))
        for text, clip in zip(texts, owner, strict=True)
        for end in range(1, len(text) + 1)
    }
    assert len(tree.ids) == len(beginnings) == tree.counts.sum()
    for text, path in zip(texts, tree.paths, strict=True):
        assert tree.ids[path[: len(text)]].tolist() == text
        assert tree.depths[path[: len(text)]].tolist() == list(range(len(text)))
    nodes = torch.arange(len(tree.ids))
    assert torch.equal(tree.bundles.collect(tree.bundles.spread(nodes[:, None]))[:, 0], nodes)


@pytest.mark.parametrize("owners", [[0, 0, 1, 1], [0, 0, 0, 1]])
def test_gradients_through_shared_clips_are_those_of_repeated_ones(helpers, targets, owners):
    model = helpers.make_model("bytes")
    own = targets([3, 1, 4, 2], 256)
    found = []
    for owner in (np.array(owners), None):
        batch = TargetBatch.of(own, torch.device("cpu"), owner)
        states = torch.randn(2, 20, 64, generator=torch.Generator().manual_seed(1))
        states.requires_grad_()
        given = states if owner is not None else states[torch.tensor(owners)]
        cache = CrossAttentionCache.of(model.model.decoder, Ragged.of(given))
        hidden = decode(model.model.decoder, batch.tree, cache)
        log_p = read_tokens(model, hidden, batch).log_p
        (log_p * torch.arange(batch.mask.shape[1])).sum().backward()
        found.append(states.grad)
    torch.testing.assert_close(found[0], found[1], atol=1e-4, rtol=1e-4)


def test_reading_token_by_token_equals_reading_at_once(helpers):
    model = helpers.make_model("bytes")
    ids = torch.randint(0, 256, (2, 7))
    with torch.inference_mode():
        decoder = model.model.decoder
        cache = CrossAttentionCache.of(decoder, Ragged.of(torch.randn(2, 30, 64)))
        past = SelfAttentionCache()
        pieces = [ids[:, :3], *ids[:, 3:].split(1, dim=1)]
        parts = []
        for piece in pieces:
            tree = PrefixTree.of_rows(piece, past.tokens)
            parts.append(decode(decoder, tree, cache, past=past)[tree.paths])
        tree = PrefixTree.of_rows(ids)
        whole = decode(decoder, tree, cache)[tree.paths]
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


# Without these instructions sums of two products overflow, and the matcher does not ask for int8.
INT8 = bool(getattr(torch.cpu, "get_capabilities", dict)().get("avx512_vnni"))


@pytest.mark.parametrize("int8", sorted({False, INT8}))
def test_the_quantised_normaliser_is_near(int8):
    torch.manual_seed(0)
    matrix, hidden = 0.3 * torch.randn(20000, 64), torch.randn(300, 64, requires_grad=True)
    fixed = QuantisedNormaliser(matrix, int8)
    plain = (hidden @ matrix.T).logsumexp(1)
    for found in (fixed(hidden.detach()), fixed(hidden)):
        torch.testing.assert_close(found, plain, atol=0.1, rtol=0)
    [own] = torch.autograd.grad(fixed(hidden).sum(), hidden)
    [expected] = torch.autograd.grad(plain.sum(), hidden)
    torch.testing.assert_close(own, expected, atol=0.1, rtol=0)


@pytest.mark.parametrize("rows", [1, 17, 600])
def test_the_normaliser_in_int8_is_that_of_each_row_alone(rows):
    torch.manual_seed(0)
    matrix, hidden = torch.randn(5000, 64), torch.randn(rows, 64)
    fixed = QuantisedNormaliser(matrix, int8=True)
    few = torch.cat([fixed(hidden[[i]]) for i in range(min(rows, 20))])
    torch.testing.assert_close(fixed(hidden)[:20], few, atol=1e-5, rtol=0)


def test_weights_in_bfloat16_give_what_autocast_gives(helpers):
    model = helpers.make_model("english").requires_grad_(requires_grad=False)
    quick, mel = in_bfloat16(model), torch.randn(2, 80, 100)
    tree = PrefixTree.of([[3, 1, 4], [3, 5]], torch.device("cpu"))
    found = []
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        for own in (model, quick):
            states = encode(own.model.encoder, [mel])
            cache = CrossAttentionCache.of(own.model.decoder, states)
            found.append(decode(own.model.decoder, tree, cache))
    torch.testing.assert_close(*found, atol=0, rtol=0)
    assert quick.proj_out.weight is model.proj_out.weight
    assert model.model.encoder.conv1.weight.dtype == torch.float32


def test_features_are_made_of_the_plain_log_probabilities(helpers, targets):
    model = helpers.make_model("english")
    own = targets([5, 1, 3], 50256)
    batch = TargetBatch.of(own, torch.device("cpu"))
    of_one_clip = TargetBatch.of(own, torch.device("cpu"), np.zeros(3, dtype=np.int64))
    states, silence = torch.randn(3, 50, 64), torch.randn(1, 20, 64)
    with torch.inference_mode():
        decoder = model.model.decoder
        silent = score_tokens(
            model, of_one_clip, CrossAttentionCache.of(decoder, Ragged.of(silence))
        )
        cache = CrossAttentionCache.of(decoder, Ragged.of(states))
        hidden = decode(decoder, batch.tree, cache)
        log_p, _ = read_tokens(model, hidden, batch)
        same_position = same_position_logit(model, hidden, batch)
        found = ScoreFeatures.of(log_p, silent, same_position, batch).stacked()
        for i, target in enumerate(own):
            at = torch.arange(3, 3 + len(target.tokens))
            wanted = torch.tensor(target.tokens)
            logits, log_p = plain_log_p(model, states[i], target)
            _, quiet = plain_log_p(model, silence[0], target)
            log_p, quiet = log_p[at - 1, wanted], quiet[at - 1, wanted]
            gain = (log_p - quiet)[:-1]
            plain = [
                log_p[:-1].mean(), log_p[:-1].min(), logits[at, wanted][:-1].mean(),
                np.log(len(target.words)), log_p[-1], gain.mean(),
                soft_minimum(log_p[:-1], target.words), soft_minimum(gain, target.words),
            ]  # fmt: skip
            np.testing.assert_allclose(found[i].numpy(), np.array(plain), atol=1e-4)


def soft_minimum(values, words):
    sums = np.bincount(words, np.asarray(values, np.float64))
    return -2 * np.log(np.mean(np.exp(-sums / 2)))


@pytest.mark.parametrize("width", [64, 384, 512, 1536])
@pytest.mark.parametrize("cast", [False, True], ids=["bfloat16", "autocast"])
def test_a_row_in_bfloat16_does_not_depend_on_the_rows_beside_it(width, cast):
    generator = torch.Generator().manual_seed(0)
    linear = Linear(width, 384)
    for own in linear.parameters():
        own.data = 0.05 * torch.randn(own.shape, generator=generator)
    rows = torch.randn(1200, width, generator=generator)
    exact = torch.nn.functional.linear(rows.double(), linear.weight.double(), linear.bias.double())
    if not cast:
        linear, rows = linear.bfloat16(), rows.bfloat16()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=cast):
        together = linear(rows)
        assert together.dtype == torch.bfloat16
        for count in (1, 20, 33, 100, 300, 700):
            torch.testing.assert_close(
                linear(rows[None, :count])[0], together[:count], rtol=0, atol=0
            )
    torch.testing.assert_close(together.double(), exact, rtol=0.02, atol=0.05)
