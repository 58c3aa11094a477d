"""What `phones` tells of recordings of mini-screener: of clips, words and phones."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from audiomatch_phones.evidence import evidence, measure
from audiomatch_phones.explaining import with_other_phone, with_other_word
from audiomatch_phones.pronouncing import pronunciations
from sklearn.metrics import log_loss, roc_auc_score

import audiomatch
from audiomatch import ClipError, Run, UserError
from audiomatch.audio import load_audio
from audiomatch.clips import Clips
from audiomatch.datasets.mini_screener import open_mini_screener
from audiomatch.explanation import WordEvidence
from audiomatch.text import normalise_text

RATE = 16_000


@pytest.fixture(scope="module")
def sentences():
    """Half of the sentences of mini-screener."""
    clips = open_mini_screener(None, True)
    rows = np.flatnonzero(np.array(clips["task"].tolist()) == "sentence_repetition")
    return clips.take(rows[::2])


def heard_before(clips):
    """Say which clips are of the voices that the model learns from."""
    return np.array([voice < "h" for voice in clips["voice"]])


@pytest.fixture(scope="module")
def model(sentences, tmp_path_factory):
    train = sentences.take(np.flatnonzero(heard_before(sentences)))
    options = {"cache": tmp_path_factory.mktemp("cache"), "workers": 1, "group": "voice"}
    return audiomatch.fit("phones@explain_clips=15", train, **options)


def said(text):
    return [pronunciations(word) for word in normalise_text(text).split()]


def test_it_tells_sentences_of_other_voices_apart(model, sentences):
    others = sentences.take(np.flatnonzero(~heard_before(sentences)))
    p = model.predict(others)
    assert roc_auc_score(others.labels, p) > 0.8 and log_loss(others.labels, p) < 0.65


def test_a_click_does_not_make_soft_speech_silence(model, sentences):
    rng = np.random.default_rng(0)
    for at in np.flatnonzero(sentences.labels == 1)[:12:3]:
        samples, text = np.pad(load_audio(sentences.paths[at]), 8_000), sentences.texts[at]
        soft = 0.01 * samples / np.abs(samples).max() + 5e-5 * rng.normal(size=len(samples))
        struck = soft.copy()
        struck[2_000:2_080] = rng.choice([-1, 1], 80)
        p, beside = (
            model.predict_one(x.astype(np.float32), text, rate=RATE) for x in (soft, struck)
        )
        assert p > 0.3 and beside == pytest.approx(p, abs=0.05)


def test_explained_words_have_their_phones(model, sentences):
    at = int(np.flatnonzero(sentences.labels == 1)[0])
    samples, text = load_audio(sentences.paths[at]), sentences.texts[at]
    one = model.explain_one(samples, text, rate=RATE)
    assert [word.word for word in one.words] == text.split()
    for word, ways in zip(one.words, said(text), strict=True):
        assert tuple(p.phone for p in word.phones) in ways
        assert word.start == word.phones[0].start and word.end == word.phones[-1].end
        assert all(0 <= p.probability <= 1 for p in word.phones)
    assert np.mean([p.probability for w in one.words for p in w.phones]) > 0.5
    assert json.loads(json.dumps(one.as_dict()))["words"][0]["phones"][0]["phone"]


def test_half_of_the_speech_confirms_half_of_the_words(model, sentences):
    at = int(np.flatnonzero(sentences.labels == 1)[0])
    samples, text = load_audio(sentences.paths[at]), sentences.texts[at]
    whole = model.explain_one(samples, text, rate=RATE).words
    count = len(whole) // 2
    half = model.explain_one(samples[: int(whole[count - 1].end * RATE)], text, rate=RATE).words
    kept, lost = half[: count - 1], half[count + 1 :]
    assert np.mean([w.probability for w in kept]) > 0.5 > max(w.probability for w in lost)
    moved = [abs(a.probability - b.probability) for a, b in zip(whole, kept, strict=False)]
    assert np.median(moved) < 0.2


def test_a_phone_of_another_kind_lowers_itself_and_not_the_others(sentences):
    rng, own, others = np.random.default_rng(0), [], []
    for at in np.flatnonzero(sentences.labels == 1)[:20]:
        words = said(sentences.texts[at])
        other, word, place = with_other_phone(words, rng)
        first = [[ways[0]] for ways in words]
        second = [other[i] if i == word else ways for i, ways in enumerate(first)]
        a, b = measure(load_audio(sentences.paths[at]), [first, second])
        fell = a.goodness[:, 0] - b.goodness[:, 0]
        changed = int(np.flatnonzero(a.word == word)[place])
        own.append(fell[changed])
        others.append(np.median(np.delete(fell, changed)))
    assert np.mean(own) > 1 and np.abs(others).max() < 0.5


def test_a_final_s_that_was_not_said_lowers_that_s(sentences):
    unsaid, right, rest = [], [], []
    for at in np.flatnonzero(sentences.labels == 1)[:20]:
        words = [[ways[0]] for ways in said(sentences.texts[at])]
        last = words[-1][0]
        if last[-1] in ("S", "Z"):
            continue
        samples = load_audio(sentences.paths[at])
        a, b = measure(samples, [words, [*words[:-1], [(*last, "S")]]])
        unsaid.append(b.goodness[-1, 0])
        right.append(a.goodness[:, 0].mean())
        rest.append(np.median((a.goodness - b.goodness[:-1])[:, 0]))
    assert np.mean(unsaid) < np.mean(right) - 1 and np.abs(rest).max() < 0.5


@pytest.mark.parametrize(("before", "after"), [(8, 0), (0, 8)])
def test_silence_around_the_speech_tells_nothing(model, sentences, before, after):
    at = int(np.flatnonzero(sentences.labels == 1)[0])
    samples, text = load_audio(sentences.paths[at]), sentences.texts[at]
    around = np.pad(samples, (before * RATE, after * RATE))
    plain, moved = (model.explain_one(one, text, rate=RATE) for one in (samples, around))
    assert abs(plain.p_match - moved.p_match) < 0.1
    for one, other in zip(plain.words, moved.words, strict=True):
        assert abs(one.start + before - other.start) < 0.05


def test_what_was_not_spoken_is_not_confirmed(model, sentences):
    for seconds in (0.5, 4):
        silence = np.zeros(int(seconds * RATE))
        assert max(model.predict([(silence, RATE, text) for text in sentences.texts[:20]])) <= 0.02


def test_a_saved_model_says_the_same(model, sentences, tmp_path):
    some = sentences.take(range(4))
    again = audiomatch.load(model.save(tmp_path / "model"), cache=tmp_path / "cache", workers=1)
    assert (again.predict(some) == model.predict(some)).all()
    assert again.explain(some) == model.explain(some)


@pytest.mark.parametrize("damage", ["{", "{}", '{"norms": {"mean": [1], "spread": [1]}}'])
def test_a_damaged_model_is_named(model, tmp_path, damage):
    folder = model.save(tmp_path / "model")
    matcher = model.matcher.__class__(model.matcher.config)
    (folder / "phones.json").write_text(damage)
    with pytest.raises(UserError, match="not a saved phones matcher"):
        matcher.load(folder)


def test_another_acoustic_model_is_refused(model, tmp_path):
    folder = model.save(tmp_path / "model")
    content = json.loads((folder / "phones.json").read_text())
    (folder / "phones.json").write_text(json.dumps(content | {"acoustic_model_digest": "other"}))
    with pytest.raises(UserError, match="another acoustic model"):
        model.matcher.__class__(model.matcher.config).load(folder)


def test_a_word_in_an_unknown_script_is_refused(model, sentences):
    clips = sentences.take([0, 1]).with_column("expected_text", ["蓝色 cat", "a cat"])
    first, second = model.matcher.refuses(clips, model.run)
    assert "蓝色" in first and second is None


def test_processes_give_what_one_gives(sentences, tmp_path, monkeypatch):
    monkeypatch.setattr("audiomatch.workers.FEW", 1)
    some = sentences.take(range(4))
    texts = [said(text) for text in some.texts]
    [alone, shared] = [evidence(some, texts, Run(tmp_path / str(n), workers=n)) for n in (1, 2)]
    for one, other in zip(alone, shared, strict=True):
        np.testing.assert_array_equal(one.to_array(), other.to_array())


def test_a_clip_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "bad.wav").write_bytes(b"nothing")
    row = {"id": "bad", "audio": str(tmp_path / "bad.wav"), "expected_text": "cat"}
    clips = Clips(pd.DataFrame([row | {"task": "", "grade": ""}]), "toy.csv")
    with pytest.raises(ClipError, match="bad"):
        evidence(clips, [said("cat")], Run(tmp_path / "cache"))


def test_another_word_shares_no_pronunciation():
    texts, rng = [said("to two too"), said("red dog")], np.random.default_rng(0)
    for _ in range(20):
        words, at = with_other_word(texts[0], texts, rng)
        assert not {*words[at]} & {*texts[0][at]}
    assert with_other_word(said("to"), [said("too")], rng)[1] == -1


def test_the_record_of_a_word_needs_no_phones():
    assert WordEvidence("a", 0.5, -1.0, 0.0, 1.0, (), "", "").phones == ()
