"""The floors: what they know, what they cannot know, and that they keep the contract."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

import audiomatch
from audiomatch import Run, plugins
from audiomatch.clips import Clips
from audiomatch.errors import UserError
from audiomatch.floors.features import audio_features, waveform_statistics
from audiomatch.plugins import Registry
from audiomatch.scoring import auroc, log_loss
from audiomatch.spec import parse_matcher
from tests.conftest import write_corpus
from tests.toys import leave_out_slow_floors

FLOORS = ("base-rate", "prior", "text-only", "audio-only", "pace", "speaker")
ADJECTIVES = ("red", "little", "happy", "quiet", "round", "old")
NOUNS = ("dog", "boat", "hat", "river", "teacher", "moon")


def floor(name):
    return Registry([]).create(parse_matcher(name))


def fitted(name, train, run):
    matcher = floor(name)
    matcher.fit(train, run)
    return matcher


def entropy(rate):
    return -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate))


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """Two hundred short noises; the odd ones are louder than the even ones."""
    folder = tmp_path_factory.mktemp("sounds")
    rng = np.random.default_rng(0)
    for i in range(200):
        level = 0.2 if i % 2 else 0.02
        samples = level * rng.normal(size=int(16_000 * rng.uniform(0.2, 0.5)))
        soundfile.write(folder / f"{i:03}.wav", np.clip(samples, -1, 1), 16_000)
    return folder


def corpus(folder, n=200, match=lambda i, text, rng: rng.integers(2), seed=0):
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        text = f"the {ADJECTIVES[i // 2 % 6]} {NOUNS[i // 12 % 6]}"
        rows.append(
            {
                "id": f"c{i}",
                "audio": str(folder / f"{i % 200:03}.wav"),
                "expected_text": text,
                "task": ("blending", "deletion")[i % 3 == 0],
                "match": int(match(i, text, rng)),
            }
        )
    return Clips(pd.DataFrame(rows))


def by_noun(clips):
    """Hold out the clips of two nouns: texts never seen in training."""
    held_out = clips["expected_text"].str.contains("hat|moon").to_numpy()
    return clips.take(~held_out), clips.take(held_out)


def test_they_are_offered_as_floors_without_heavy_imports():
    offers = Registry([]).matchers()
    assert {name for name, offer in offers.items() if offer.info.kind == "floor"} == set(FLOORS)
    code = (
        "import sys, audiomatch.builtin as b; b.audiomatch_matchers();"
        "print(sorted({'numpy', 'pandas', 'sklearn', 'scipy', 'torch'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_base_rate_is_the_share_of_matches(sounds, run):
    train = corpus(sounds, match=lambda i, t, rng: i % 4 == 0)
    p = fitted("base-rate", train, run).predict(train.unlabelled(), run)
    assert p.tolist() == [0.25] * 200


def test_prior_is_the_shrunk_share(sounds, run):
    rows = [("blending", "the dog", 1)] * 6 + [("blending", "a hat", 0)] * 2
    rows += [("deletion", "the dog", 0)] * 4
    frame = pd.DataFrame(rows, columns=["task", "expected_text", "match"])
    train = Clips(frame.assign(id=[f"{i}" for i in range(12)], audio="none.wav"))
    asked = Clips(
        pd.DataFrame(
            {
                "id": ["a", "b", "c"],
                "audio": "none.wav",
                "task": ["blending", "blending", "new"],
                "expected_text": ["The dog!", "unseen", "the dog"],
            }
        )
    )
    p = fitted("prior@strength=2", train, run).predict(asked, run)
    task = (6 + 2 * 0.5) / (8 + 2)
    assert p == pytest.approx([(6 + 2 * task) / (6 + 2), task, 0.5])
    strong = fitted("prior@strength=1e6", train, run).predict(asked, run)
    assert strong == pytest.approx([0.5] * 3, abs=1e-4)


def test_prior_refuses_a_strength_out_of_range():
    with pytest.raises(UserError, match="strength"):
        floor("prior@strength=0")


def test_text_only_learns_what_carries_over_to_new_texts(sounds, run):
    train, held_out = by_noun(corpus(sounds, match=lambda i, t, rng: "red" in t or "old" in t))
    p = fitted("text-only", train, run).predict(held_out.unlabelled(), run)
    assert log_loss(held_out.labels, p) < 0.3
    assert auroc(held_out.labels, p) == 1.0


@pytest.mark.parametrize("name", ["text-only", "audio-only"])
def test_what_tells_nothing_ends_at_the_base_rate(sounds, run, name):
    losses = []
    for seed in range(5):
        clips = corpus(sounds, match=lambda i, t, rng: rng.integers(2), seed=seed)
        train, held_out = by_noun(clips)
        p = fitted(name, train, run).predict(held_out.unlabelled(), run)
        losses.append(log_loss(held_out.labels, p))
    assert np.mean(losses) < entropy(0.5) + 0.03


def test_text_only_does_not_learn_texts_by_heart(sounds, run):
    # Each text has a share of its own, told by nothing else: half always match, half never do.
    coin = np.random.default_rng(4).permutation(36) % 2
    train, held_out = by_noun(corpus(sounds, match=lambda i, t, rng: coin[i // 2 % 36]))
    p = fitted("text-only", train, run).predict(held_out.unlabelled(), run)
    assert log_loss(held_out.labels, p) < entropy(0.5) + 0.1


def test_of_many_clips_some_choose_the_penalty_whatever_their_order(sounds, run, monkeypatch):
    train, held_out = by_noun(corpus(sounds, match=lambda i, t, rng: "red" in t or "old" in t))
    monkeypatch.setattr("audiomatch.floors.logistic.MOST_CLIPS", 60)
    first = fitted("text-only", train, run)
    again = fitted("text-only", train.take(np.arange(len(train))[::-1]), run)
    assert first.model.c == again.model.c
    p, other = (m.predict(held_out.unlabelled(), run) for m in (first, again))
    np.testing.assert_allclose(p, other, atol=1e-4)
    assert auroc(held_out.labels, p) == 1.0


def test_audio_only_hears_and_does_not_read(sounds, run):
    clips = corpus(sounds, match=lambda i, t, rng: i % 2)
    train, held_out = by_noun(clips)
    matcher = fitted("audio-only", train, run)
    p = matcher.predict(held_out.unlabelled(), run)
    assert auroc(held_out.labels, p) == 1.0 and log_loss(held_out.labels, p) < 0.1
    other = held_out.unlabelled().with_column("expected_text", "something else")
    np.testing.assert_array_equal(matcher.predict(other, run), p)


def test_audio_statistics_are_kept_by_content(sounds, run, monkeypatch):
    clips = corpus(sounds, n=20).unlabelled()
    first = audio_features(clips, run)
    monkeypatch.setattr(
        "audiomatch.audio.decode", lambda data, name: pytest.fail(f"{name} decoded again")
    )
    np.testing.assert_array_equal(audio_features(clips.take([3, 1]), run), first[[3, 1]])
    monkeypatch.undo()
    for kept in run.cache.rglob("*.*"):
        kept.write_bytes(b"cut")
    np.testing.assert_array_equal(audio_features(clips, run), first)


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(1600),
        np.zeros(1),
        np.ones(480_000),
        np.sign(np.sin(np.arange(16_000))),
        np.r_[np.zeros(8000), 1.0, np.zeros(8000)],
    ],
    ids=["silence", "one sample", "thirty seconds of an offset", "clipped", "a click"],
)
def test_statistics_are_finite(samples):
    found = waveform_statistics(samples.astype(np.float32))
    assert found.shape == waveform_statistics(np.ones(600, np.float32)).shape
    assert np.isfinite(found).all()


def test_statistics_measure_what_they_say():
    time = np.arange(32_000) / 16_000
    tone = 0.5 * np.sin(2 * np.pi * 1000 * time)
    tone[16_000:] = 0
    found = waveform_statistics(tone.astype(np.float32))
    seconds, level, peak = found[0], found[2], found[3]
    active, bursts, span, crossings = found[8:12]
    assert seconds == 2
    assert (level, peak) == pytest.approx((20 * np.log10(0.25), 20 * np.log10(0.5)), abs=0.01)
    assert (active, bursts, span) == pytest.approx((0.5, 1, 1.0), abs=0.03)
    assert crossings == pytest.approx(1000, rel=0.01)
    steady = waveform_statistics(tone[:16_000].astype(np.float32))
    assert np.argmax(steady[12:21]) == 3 and steady[15] == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("name", FLOORS)
def test_contract(sounds, tmp_path: Path, name):
    clips = corpus(sounds, match=lambda i, t, rng: rng.random() < (0.8 if "red" in t else 0.3))
    train, held_out = by_noun(clips)
    asked = held_out.unlabelled()
    run = Run(cache=tmp_path / "cache", seed=3)
    matcher = fitted(name, train, run)
    p = matcher.predict(asked, run)
    assert p.dtype == np.float64 and p.shape == (len(asked),)
    assert ((p > 0) & (p < 1)).all()

    again = Run(cache=tmp_path / "other", seed=3, workers=3)
    np.testing.assert_array_equal(fitted(name, train, again).predict(asked, again), p)

    backwards = np.arange(len(asked))[::-1]
    np.testing.assert_array_equal(matcher.predict(asked.take(backwards), run), p[::-1])
    one = [matcher.predict(asked.take([i]), run)[0] for i in range(5)]
    np.testing.assert_array_equal(one, p[:5])

    (tmp_path / "model").mkdir()
    matcher.save(tmp_path / "model")
    assert {path.suffix for path in (tmp_path / "model").iterdir()} == {".json"}
    loaded = floor(name)
    loaded.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict(asked, run), p)
    scrambled = held_out.with_column("match", 1 - held_out.labels)
    np.testing.assert_array_equal(matcher.predict(scrambled.unlabelled(), run), p)


@pytest.mark.parametrize("name", FLOORS)
@pytest.mark.parametrize("texts", [["a", "a"], ["a", "b"], ["1", "2"], ["a", "b", "c", "d", "e"]])
def test_tiny_data(sounds, run, name, texts):
    frame = pd.DataFrame({"id": [f"{i}" for i in range(len(texts))], "expected_text": texts})
    frame["audio"] = [str(sounds / f"{i:03}.wav") for i in range(len(texts))]
    train = Clips(frame.assign(match=[1] + [0] * (len(texts) - 1)))
    p = fitted(name, train, run).predict(train.unlabelled(), run)
    assert np.isfinite(p).all() and ((p > 0) & (p < 1)).all()


def test_a_missing_clip_is_named(sounds, run):
    clips = corpus(sounds, n=4).with_column("audio", str(sounds / "gone.wav"))
    with pytest.raises(UserError, match=r"row 0 .*gone\.wav"):
        audio_features(clips, run)


def test_pace_tells_what_is_too_short_for_its_text(sounds, run):
    clips = corpus(sounds)
    length = clips.seconds / np.array([len(text) for text in clips.texts])
    clips = clips.with_column("match", (length > np.median(length)).astype(np.int8))
    train, held_out = by_noun(clips)
    p = fitted("pace", train, run).predict(held_out.unlabelled(), run)
    assert auroc(held_out.labels, p) > 0.95
    longer = held_out.unlabelled().with_column("expected_text", "the same, and more " * 4)
    assert fitted("pace", train, run).predict(longer, run).mean() < p.mean()


def test_speaker_is_the_shrunk_share_of_who_speaks(sounds, run):
    rows = [("ann", 1)] * 6 + [("ann", 0)] * 2 + [("bo", 0)] * 4
    frame = pd.DataFrame(rows, columns=["speaker", "match"])
    train = Clips(
        frame.assign(id=[f"{i}" for i in range(12)], audio="none.wav", expected_text="the dog")
    )
    asked = train.take([0, 11, 1]).unlabelled().with_column("speaker", ["ann", "bo", "new"])
    p = fitted("speaker@strength=2", train, run).predict(asked, run)
    assert p == pytest.approx([(6 + 2 * 0.5) / 10, (0 + 2 * 0.5) / 6, 0.5])


def test_speaker_stands_beside_matchers_where_the_data_have_the_column(tmp_path, monkeypatch):
    toys = write_corpus(tmp_path / "data")
    leave_out_slow_floors(plugins.registry(), monkeypatch)
    table = pd.read_csv(toys).drop(columns="speaker")
    for column in ("colour", "speaker"):
        data = toys.with_name(f"{column}.csv")
        table.assign(**{column: [f"s{i % 5}" for i in range(len(table))]}).to_csv(data)
        how = {"folds": 2, "out": tmp_path / column, "executor": "inline"}
        found = audiomatch.compare(data, "prior", **how)
        assert ("speaker" in found.leaderboard.index) == (column == "speaker")
