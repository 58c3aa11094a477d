"""Spectrograms come out of the cache as they went in."""

import shutil
from contextlib import contextmanager

import numpy as np
import pytest
import soundfile
from audiomatch_whisper.sound import log_mel as module
from audiomatch_whisper.sound.log_mel import LogMels, log_mel
from audiomatch_whisper.sound.mel_filters import MelExtractor

from audiomatch import Run
from audiomatch.audio import load_audio
from audiomatch.errors import ClipError
from audiomatch.intake import admit
from audiomatch.running.array_store import ArrayStore

EXTRACTOR = MelExtractor()


class Recorder:
    """Progress that remembers what it is told."""

    def __init__(self):
        self.tasks, self.lines = [], []

    @contextmanager
    def task(self, description, total, unit="clips"):
        self.tasks.append([description, total, 0])
        yield self

    def advance(self, amount=1, note=""):
        self.tasks[-1][2] += amount

    def say(self, line):
        self.lines.append(line)


@pytest.fixture
def recorded(tmp_path):
    """A run on one cache, with progress of its own each time."""
    return lambda: Run(cache=tmp_path / "cache", workers=2, progress=Recorder())


def spectrograms(clips, run, extractor=EXTRACTOR, pad="longest", margin=0.5):
    made = LogMels(clips, extractor, run, pad, margin)
    return [made(np.array([i]))[0] for i in range(len(clips))], made.seconds


def computed(clips, extractor=EXTRACTOR, margin=0.5):
    return [log_mel(load_audio(path), extractor, margin) for path in clips.paths]


def assert_same(found, expected):
    assert [one.tobytes() for one in found] == [one.tobytes() for one in expected]
    assert [one.shape for one in found] == [one.shape for one in expected]


def test_kept_is_computed_bit_for_bit(corpus, recorded, monkeypatch):
    monkeypatch.setattr(
        "audiomatch.cache.KEPT_AT_ONCE", 200_000
    )  # so that there are several writes
    expected = computed(corpus)
    first, again = recorded(), recorded()
    found, seconds = spectrograms(corpus, first)
    assert_same(found, expected)
    assert first.progress.tasks == [["log-mel", len(corpus), len(corpus)]]
    monkeypatch.setattr(module, "log_mel", None)
    found, seconds_again = spectrograms(corpus, again)
    assert_same(found, expected)
    np.testing.assert_array_equal(seconds, seconds_again)
    assert again.progress.tasks == []
    half, _ = spectrograms(corpus, recorded(), pad="30s")
    assert all(mel.shape == (80, 3000) for mel in half)


def test_only_new_clips_are_computed(corpus, recorded):
    spectrograms(corpus.take([0, 2, 5]), recorded())
    run = recorded()
    found, _ = spectrograms(corpus, run)
    assert_same(found, computed(corpus))
    assert run.progress.tasks == [["log-mel", 5, 5]]


def test_equal_audio_is_computed_once_wherever_it_lies(corpus, recorded, tmp_path):
    copy = tmp_path / "copy.wav"
    shutil.copy(corpus.paths[0], copy)
    both = corpus.take([0, 1]).with_column("audio", [str(copy), str(corpus.paths[0])])
    run = recorded()
    found, _ = spectrograms(both, run)
    assert run.progress.tasks == [["log-mel", 1, 1]]
    assert_same(found, computed(both))


def test_intake_spares_the_hashing(corpus, recorded):
    spectrograms(corpus, recorded())
    admitted = admit(corpus, recorded()).clips
    expected = computed(corpus)
    for path in corpus.paths:
        path.unlink()
    found, _ = spectrograms(admitted, recorded())
    assert_same(found, expected)


@pytest.mark.parametrize("change", [{"margin": 0.7}, {"extractor": MelExtractor(128)}])
def test_what_decides_the_numbers_is_in_the_key(corpus, recorded, change):
    spectrograms(corpus, recorded())
    found, _ = spectrograms(corpus, recorded(), **change)
    assert_same(found, computed(corpus, **change))


def test_changed_audio_is_computed_anew(corpus, recorded):
    spectrograms(corpus, recorded())
    soundfile.write(corpus.paths[3], np.random.default_rng(1).uniform(-0.5, 0.5, 16000), 16000)
    found, _ = spectrograms(corpus, recorded())
    assert_same(found, computed(corpus))


def test_a_column_called_sha256_decides_nothing(corpus, recorded):
    alike = corpus.with_column("sha256", ["0" * 64] * len(corpus))
    found, _ = spectrograms(alike, recorded())
    assert_same(found, computed(corpus))


@pytest.mark.parametrize("admitted", [False, True])
def test_a_bad_clip_is_named_by_its_row(corpus, recorded, admitted):
    clips = admit(corpus, recorded()).clips if admitted else corpus
    clips.paths[3].unlink()
    with pytest.raises(ClipError, match=r"row 3 \(id 'c3'\): no such audio file"):
        spectrograms(clips, recorded())
    rest = recorded()
    clips = clips.take([0, 1, 2, 4, 5, 6, 7])
    found, _ = spectrograms(clips, rest)
    assert_same(found, computed(clips))
    if admitted:  # what was done before it is not done again
        assert rest.progress.tasks == [["log-mel", 4, 4]]


def test_a_cache_that_cannot_be_written_is_said_once(corpus, recorded, monkeypatch):
    monkeypatch.setattr("audiomatch.cache.KEPT_AT_ONCE", 1)
    run = recorded()
    run.cache.mkdir()
    (run.cache / "log-mel").touch()
    found, _ = spectrograms(corpus, run)
    assert_same(found, computed(corpus))
    assert len(run.progress.lines) == 1 and "cannot be written" in run.progress.lines[0]


def test_a_store_damaged_while_it_is_used_costs_time_only(corpus, recorded, monkeypatch):
    put = ArrayStore.put

    def lose(store, *asked):
        done = put(store, *asked)
        for file in store.folder.glob("*.bin"):
            file.unlink()
        return done

    monkeypatch.setattr(ArrayStore, "put", lose)
    found, _ = spectrograms(corpus, recorded())
    assert_same(found, computed(corpus))


def test_the_level_of_a_clip_does_not_show(corpus):
    audio = load_audio(corpus.paths[0])
    wanted = log_mel(audio, EXTRACTOR, 0.5)
    for gain in (0.03, 3.0):
        np.testing.assert_allclose(
            log_mel(audio * np.float32(gain), EXTRACTOR, 0.5), wanted, atol=1e-3
        )
    silence = log_mel(np.zeros(16000, np.float32), EXTRACTOR, 0.5)
    assert silence.min() == silence.max()
