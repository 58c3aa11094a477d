"""What sounds the same is judged the same."""

import json

import numpy as np
import pytest
import torch
from audiomatch_whisper.net.decoder import CrossAttentionCache, decode
from audiomatch_whisper.net.ragged import Ragged
from audiomatch_whisper.score.targets import Target, TargetBatch
from audiomatch_whisper.score.tokens import read_tokens
from audiomatch_whisper.text.spellings import Speller
from audiomatch_whisper.text.tokenizer import WhisperTokenizer
from audiomatch_whisper.text.words import TokenizedText

import audiomatch
from audiomatch.clips import Clips
from audiomatch.explanation import Explanation

FAST = {"epochs": 0, "batch_size": 4, "lr": 1e-3}
TEXTS = ["we want two go", "we want to go", "we want too go", "we want six go"]


def log_p_of(model, state, prompt, ids):
    """Log probability of each of `ids` after a prompt, by transformers' own forward."""
    row = torch.tensor([[*prompt, *ids]])
    log_p = model(encoder_outputs=(state[None],), decoder_input_ids=row).logits[0].log_softmax(-1)
    at = torch.arange(len(prompt), row.shape[1])
    return log_p[at - 1, row[0, at]]


def test_a_word_is_as_probable_as_all_its_spellings(helpers):
    model = helpers.make_model("bytes")
    prompt, words = (257, 264), [(5, 6), (7,), (8, 9, 10)]
    others = (((3,), (5, 4)), (), ((1, 2),))  # in place of each word
    written = tuple(token for ids in words for token in ids)
    target = Target(prompt, (*written, 256), np.repeat([0, 1, 2], [2, 1, 3]), others)
    plain = Target(prompt, (7, 256), np.zeros(1, dtype=np.int64))
    batch = TargetBatch.of([plain, target, target], torch.device("cpu"), np.array([0, 0, 1]))
    states = torch.randn(2, 30, 64)
    with torch.inference_mode():
        cache = CrossAttentionCache.of(model.model.decoder, Ragged.of(states))
        log_p, likeliest = read_tokens(model, decode(model.model.decoder, batch.tree, cache), batch)
        for row, state in ((1, states[0]), (2, states[1])):
            own = log_p_of(model, state, prompt, target.tokens)
            starts = (0, 2, 3)
            for word, start in enumerate(starts):
                end = start + len(words[word])
                before = (*prompt, *written[:start])
                each = torch.stack(
                    [own[start:end].sum()]
                    + [log_p_of(model, state, before, ids).sum() for ids in others[word]]
                )
                found = log_p[row, start:end]
                torch.testing.assert_close(found.sum(), each.logsumexp(0), atol=1e-4, rtol=0)
                share = found / own[start:end]
                torch.testing.assert_close(share, share[:1].expand_as(share), atol=1e-4, rtol=0)
                assert likeliest[row, word] == each.argmax()
            torch.testing.assert_close(log_p[row, 6], own[6], atol=1e-4, rtol=0)  # the end
        torch.testing.assert_close(
            log_p[0, :2], log_p_of(model, states[0], prompt, plain.tokens), atol=1e-4, rtol=0
        )


def test_another_spelling_is_written_with_the_first_among_the_others():
    target = Target((1,), (5, 6, 7, 0), np.array([0, 0, 1]), (((3,), (5, 4)), ()))
    other = target.respelled([2, 0])
    assert other.tokens == (5, 4, 7, 0) and other.words.tolist() == [0, 0, 1]
    assert other.spellings == (((5, 6), (3,)), ())
    back = other.respelled([1, 0])
    assert back.tokens == target.tokens and set(back.spellings[0]) == set(target.spellings[0])


def with_texts(corpus, texts):
    rows = np.repeat(np.arange(len(corpus)), len(texts))
    frame = corpus.take(rows).frame.assign(expected_text=list(texts) * len(corpus))
    return Clips(frame.assign(id=[str(i) for i in range(len(frame))])).unlabelled()


def test_a_homophone_changes_nothing_where_sound_counts(fitted, corpus, run):
    clips = with_texts(corpus, TEXTS)
    by_sound = fitted().predict(clips, run).reshape(len(corpus), len(TEXTS))
    np.testing.assert_allclose(by_sound[:, :3], by_sound[:, :1].repeat(3, axis=1), atol=1e-5)
    assert np.abs(by_sound[:, 3] - by_sound[:, 0]).min() > 1e-4
    strict = fitted(spelling="strict").predict(clips, run).reshape(len(corpus), len(TEXTS))
    assert np.abs(strict[:, 1] - strict[:, 0]).max() > 1e-3
    assert np.abs(strict - by_sound).max() > 1e-3


def test_the_recipe_reads_what_is_written(fitted, corpus, run):
    clips = with_texts(corpus, TEXTS[:2])
    p = fitted(score="same-position").predict(clips, run).reshape(len(corpus), 2)
    assert np.abs(p[:, 0] - p[:, 1]).max() > 1e-4


def test_training_by_sound_moves_the_numbers_and_keeps_them_finite(fitted, corpus, run):
    spoken = corpus.with_column("expected_text", [TEXTS[i % 4] for i in range(len(corpus))])
    matcher = fitted(epochs=2, negatives=1)
    matcher.fit(spoken, run)
    p = matcher.predict(spoken.unlabelled(), run)
    assert np.isfinite(p).all()
    other = fitted(epochs=0)
    other.fit(spoken, run)
    assert np.abs(other.predict(spoken.unlabelled(), run) - p).max() > 1e-3


def test_explain_says_the_same_of_words_that_sound_the_same(fitted, corpus, run):
    clips = with_texts(corpus.take([2]), TEXTS[:2])
    matcher = fitted()
    two, to = matcher.explain(clips, run)
    assert isinstance(two, Explanation) and [w.word for w in two.words] == TEXTS[0].split()
    p = matcher.predict(clips, run)
    np.testing.assert_allclose([two.p_match, to.p_match], p, atol=1e-5)
    assert two.words[2].log_prob == pytest.approx(to.words[2].log_prob, abs=1e-3)
    assert two.words[2].rather != "to"


def test_a_text_that_another_spelling_might_make_too_long_is_read_as_written():
    tokenizer = WhisperTokenizer.of_bytes()
    text = TokenizedText.of("we know", tokenizer)
    written = len(text.ids)
    room = written + len("neault") + len("whee")
    assert any(Speller(tokenizer, room)(text))
    assert Speller(tokenizer, written)(text) == ()


def test_a_model_from_before_there_was_a_choice_reads_what_is_written(
    folders, corpus, tmp_path, run
):
    folder = tmp_path / "model"
    named = f"whisper@epochs=0@weights={folders['bytes']}@spelling="
    strict = audiomatch.fit(f"{named}strict", corpus, cache=run.cache, workers=1)
    strict.save(folder)
    card = json.loads((folder / "audiomatch.json").read_text())
    del card["config"]["spelling"]
    (folder / "audiomatch.json").write_text(json.dumps(card))
    clips = with_texts(corpus, TEXTS[:2])
    again = audiomatch.load(folder, cache=run.cache, workers=1)
    np.testing.assert_allclose(
        again.matcher.predict(clips, run), strict.matcher.predict(clips, run), atol=1e-6
    )
