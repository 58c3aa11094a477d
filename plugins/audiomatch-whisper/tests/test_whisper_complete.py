"""Whether all of a text was said, and nothing else: planted answers and what shows them."""

import numpy as np
import pytest
import torch
from audiomatch_torch import load_tensors, save_tensors
from audiomatch_whisper.matcher import HEAD, UNTRAINED
from audiomatch_whisper.net.decoder import CrossAttentionCache, decode
from audiomatch_whisper.net.prefix_tree import PrefixTree
from audiomatch_whisper.net.ragged import Ragged
from audiomatch_whisper.score.alignment import FollowingHeads, cross_attention, smoothed
from audiomatch_whisper.score.completeness import WIDTHS
from audiomatch_whisper.score.head import LOWERED, ProductHead
from audiomatch_whisper.score.pipeline import Pipeline
from audiomatch_whisper.score.targets import Target
from audiomatch_whisper.sound.log_mel import log_mel, mel_bounds, sound_before
from audiomatch_whisper.sound.mel_filters import MelExtractor
from audiomatch_whisper.sound.speech import speech_bounds
from audiomatch_whisper.text.tokenizer import WhisperTokenizer
from audiomatch_whisper.text.words import TokenizedText
from audiomatch_whisper.train import planted as module
from audiomatch_whisper.train.planted import BESIDE, FEWER, SHARES, WORDS, plant
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import median_filter

from audiomatch.audio import load_clip
from audiomatch.errors import UserError

FAST = {"batch_size": 4, "explain_clips": 4}
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
    labels = holds.all(1).astype(np.int8)
    head = ProductHead([1, 1])
    head.fit(evidence, labels)
    head.fit_others(evidence, labels, np.ones(400), 400)
    with torch.no_grad():
        logits = head(torch.tensor([[9.0, -3.0], [-3.0, 9.0], [3.0, 3.0]]))
    assert logits[0] < 0 and logits[1] < -1 and logits[2] > 1


def test_planted_answers_fall_and_leave_the_words_as_they_are():
    generator = np.random.default_rng(1)
    labels = (np.arange(400) % 2 * (np.arange(400) < 200)).astype(np.int8)
    evidence = np.column_stack([np.arange(400) % 2 * 3.0, np.zeros(400)])
    evidence += generator.standard_normal((400, 2))
    evidence[200:] += [3.0, -4.0]  # which the second number tells
    rows = torch.from_numpy(evidence).float()
    head = ProductHead([1, 1])
    head.fit(evidence[:200], labels[:200])
    with torch.no_grad():
        before = head.words(rows)
        head.fit_others(evidence, labels, np.repeat([1.0, 0.3], 200), 200)
        assert torch.equal(head.words(rows), before)
        p, words = head(rows).sigmoid(), before.sigmoid()
    assert words[200:].mean() > 0.7 and p[200:].mean() < 0.1
    assert (words - p)[:200].mean() < 0.05


def test_a_part_lowers_no_match_that_is_like_nearly_all_others():
    generator = np.random.default_rng(2)
    labels = (np.arange(600) < 300).astype(np.int8)
    evidence = np.column_stack([4.0 * labels, 3.0 * labels]) + generator.standard_normal((600, 2))
    head, rows = ProductHead([1, 1]), torch.from_numpy(evidence).float()
    head.fit(evidence, labels)
    head.fit_others(evidence, labels, np.ones(600), 600)
    with torch.no_grad():
        lowered = (head.words(rows) - head(rows) > 1e-3).numpy()
    assert lowered[:300].mean() == pytest.approx(LOWERED, abs=0.005)
    assert lowered[300:].mean() > 0.3


@pytest.mark.parametrize("layers", [0, "all"])
def test_what_is_asked_beside_the_words_is_asked_of_the_untrained(
    layers, fitted, whisper, corpus, run, tmp_path
):
    def evidence(matcher):
        with matcher.computing(run) as (scorer, compute):
            clips = corpus.unlabelled()
            return Pipeline(scorer, clips, matcher.config, compute).features("features")

    options = {"encoder_layers": layers, "bf16": "never", "spelling": "strict"}
    untrained = evidence(fitted(epochs=0, **options))
    matcher = fitted(epochs=1, lr=1e-2, **options)
    trained, words = evidence(matcher), WIDTHS[0]
    np.testing.assert_allclose(trained[:, words:], untrained[:, words:], atol=1e-4)
    assert np.abs(trained[:, :words] - untrained[:, :words]).max() > 0.01
    matcher.save(tmp_path)
    own = load_tensors(tmp_path / UNTRAINED)
    assert "model.decoder.layers.0.fc1.weight" in own
    assert "model.decoder.embed_tokens.weight" not in own
    again = whisper(weights="scratch", **options)
    again.load(tmp_path)
    np.testing.assert_allclose(evidence(again), trained, atol=1e-4)


@pytest.mark.parametrize("file", [HEAD, UNTRAINED])
def test_a_model_of_an_older_version_is_refused_as_such(file, fitted, whisper, tmp_path):
    fitted(epochs=1).save(tmp_path)
    if file == HEAD:  # which had no such tensor
        tensors = load_tensors(tmp_path / HEAD)
        save_tensors({k: v for k, v in tensors.items() if k != "forgiven"}, tmp_path / HEAD)
    else:
        (tmp_path / UNTRAINED).unlink()
    with pytest.raises(UserError, match=rf"{file}: .*; fitted by an older version, fit it again$"):
        whisper(weights="scratch").load(tmp_path)


def test_planted_answers_are_mismatches_of_the_matches(corpus, run, monkeypatch):
    def planted_in(clips, most=8, exact=True):
        monkeypatch.setattr(module, "MOST", most)
        return plant(clips, run, lambda text: text != "the dog", exact=exact)

    planted = planted_in(corpus)
    assert set(planted.labels) == {0} and len(set(planted.ids)) == len(planted)
    assert "the dog" not in planted.texts
    matches = {one: i for i, one in enumerate(corpus.ids) if corpus.labels[i]}
    kinds = {name.partition("#")[2] for name in planted.ids}
    changed = {kind.name.lower() for kind in WORDS}
    assert kinds == {"cut", *BESIDE, *changed, *(kind.name.lower() for kind in FEWER)}
    for i, name in enumerate(planted.ids):
        whole, _, kind = name.partition("#")
        row = matches[whole]
        own, full = load_clip(planted, i), load_clip(corpus, row)
        if kind == "cut":
            assert len(corpus.texts[row].split()) > 1 and planted.texts[i] == corpus.texts[row]
            assert SHARES[0] * 0.9 < len(own) / len(full) < SHARES[1] + 0.1
            np.testing.assert_array_equal(own, full[: len(own)])
        elif kind in BESIDE:
            assert planted.texts[i] == corpus.texts[row]
            there = own[-len(full) :] if kind == "sentence-before" else own[: len(full)]
            assert len(own) > len(full)
            np.testing.assert_allclose(there, full, atol=1e-4)
        else:
            assert planted.texts[i] != corpus.texts[row] and len(own) == len(full)
    again = planted_in(corpus)
    assert again.texts == planted.texts and again.sounds == planted.sounds
    kinds = {name.partition("#")[2] for name in planted_in(corpus, exact=False).ids}
    assert kinds == {"cut", *changed}


def test_training_parts_that_share_clips_share_what_is_planted(helpers, tmp_path, run):
    texts = ["the red dog ran", "a boat on the hill", "my green hat", "soup for two men", "go home"]
    clips = helpers.make_clips(tmp_path, np.linspace(0.6, 2.0, 20), texts)
    clips = clips.with_column("match", [1] * 20)

    def planted_in(rows):
        planted = plant(clips.take(rows), run, lambda _: True, exact=True)
        return dict(zip(planted.ids, zip(planted.sounds, planted.texts, strict=True), strict=True))

    every, most, turned = (
        planted_in(range(20)),
        planted_in(range(18)),
        planted_in(range(17, -1, -1)),
    )
    assert most == turned
    drawn_from_texts = ("#extend", "#replace")
    shared = [name for name in most if not name.endswith(drawn_from_texts)]
    same = [name for name in shared if most[name] == every[name]]
    assert len(shared) == 18 * 6 and len(same) >= 0.9 * len(shared)


def test_of_one_text_no_other_is_planted_beside_it(corpus, run):
    alike = corpus.with_column("expected_text", ["the dog ran"] * len(corpus))
    planted = plant(alike, run, lambda _: True, exact=True)
    assert not any("sentence" in name for name in planted.ids)


def test_the_attention_of_clips_together_is_that_of_each_alone(helpers):
    model = helpers.make_model("bytes")
    states = [torch.randn(1, 30, 64), torch.randn(1, 50, 64)]
    texts = [[257, 264, 5, 6], [257, 264, 7]]
    with torch.inference_mode():
        cache = CrossAttentionCache.of(model.model.decoder, Ragged.of(*states))
        tree = PrefixTree.of(texts, torch.device("cpu"))
        following = FollowingHeads(model)
        decode(model.model.decoder, tree, cache, follow=following.asked)
        for i, ids in enumerate(texts):
            own = following.of(tree.paths[i, : len(ids)].numpy())  # (t, s, heads)
            alone = cross_attention(model, ids, cache.clip(i))
            length = alone.shape[1]
            np.testing.assert_allclose(own[:, :length], alone, atol=1e-6)
            assert not own[:, length:].any()


@pytest.mark.parametrize("count", [1, 2, 3, 50])
def test_attention_is_smoothed_by_the_median_of_seven(count):
    weights = np.random.default_rng(count).standard_normal((count, 2, 3))
    wanted = median_filter(weights, size=(7, 1, 1), mode="reflect")
    np.testing.assert_array_equal(smoothed(weights), wanted)


@pytest.mark.parametrize(("earlier", "silence"), [(0, 0.0), (0, 1.5), (8, 0.0), (8, 1.5)])
def test_a_spectrogram_says_when_the_sound_begins_and_ends(earlier, silence):
    extractor = MelExtractor()
    audio = 1e-3 * np.random.default_rng(0).standard_normal(3 * 16000).astype(np.float32)
    audio[16000:32000] *= 30
    audio = np.pad(audio, (16000 * earlier, int(16000 * silence)))
    bounds = mel_bounds(log_mel(audio, extractor, 0.3))
    assert bounds == pytest.approx(speech_bounds(audio), abs=0.05)
    assert bounds == pytest.approx((earlier + 1, earlier + 2), abs=0.05)
    before = sound_before(log_mel(audio, extractor, 0.3))
    assert before[100 * earlier + 90] == 0 and before[-1] == pytest.approx(1, abs=0.05)
    quiet = log_mel(np.zeros(16000, np.float32), extractor, 0.3)
    assert mel_bounds(quiet) == (0.0, 1.5)


def test_a_text_said_twice_is_read_as_such(helpers):
    tokenizer = WhisperTokenizer.of(helpers.make_tokenizer("bytes"), "bytes")
    once, twice = (TokenizedText.of(text, tokenizer) for text in ("a dog", "a dog a dog"))
    made = Target.of(once, tokenizer.own_prompt, tokenizer.end).twice()
    wanted = Target.of(twice, tokenizer.own_prompt, tokenizer.end)
    assert (made.tokens, made.letters) == (wanted.tokens, wanted.letters)
    np.testing.assert_array_equal(made.words, wanted.words)


def test_where_more_was_said_the_text_twice_may_be_it(fitted, corpus, run, monkeypatch):
    matcher = fitted(score="complete", epochs=0)

    def predicted(texts, more):
        monkeypatch.setattr(ProductHead, "only_more", lambda _, x: torch.full((len(x),), more))
        return matcher.predict(corpus.with_column("expected_text", texts).unlabelled(), run)

    texts = corpus.texts
    once, both = predicted(texts, False), predicted(texts, True)
    twice = predicted([f"{text} {text}" for text in texts], False)
    assert (twice > once + 1e-4).any()
    np.testing.assert_allclose(both, np.maximum(once, twice), atol=1e-4)


def test_where_more_may_be_said_nothing_asks_for_it(fitted, corpus, run):
    matcher = fitted(score="complete", expect="contains", epochs=0)
    assert len(matcher._model.head.parts) == 2
    assert np.isfinite(matcher.predict(corpus.unlabelled(), run)).all()
