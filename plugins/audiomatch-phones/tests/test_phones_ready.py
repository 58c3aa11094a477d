"""The model that the package carries, which was fitted on real speech."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from audiomatch_phones import READY

import audiomatch
from audiomatch.audio import load_audio
from audiomatch.datasets.mini_screener import open_mini_screener
from audiomatch.model import digest_of_folder, ready_folder
from audiomatch.plugins import registry
from benchmarks import speechocean

RATE = 16_000


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return audiomatch.load("phones:ready", cache=tmp_path_factory.mktemp("cache"), workers=1)


@pytest.fixture(scope="module")
def sentences():
    """Four recordings of sentences of mini-screener that say them."""
    clips = open_mini_screener(None, True)
    rows = enumerate(zip(clips["task"], clips.labels, strict=True))
    return clips.take([i for i, (task, y) in rows if task == "sentence_repetition" and y][:4])


def test_the_files_are_those_of_the_digest():
    folder = ready_folder("phones", registry())
    assert digest_of_folder(folder) == READY.digest
    assert sum(file.stat().st_size for file in folder.iterdir()) < 30_000


def test_what_was_said_is_confirmed_and_other_words_are_not(model, sentences):
    samples, text = load_audio(sentences.paths[0]), sentences.texts[0]
    said, other = model.predict([(samples, RATE, text), (samples, RATE, "a cold grey morning")])
    assert said > 0.6 and other < 0.1


@pytest.mark.parametrize("seconds", [0.3, 4])
def test_silence_noise_and_tones_confirm_nothing(model, seconds):
    generator, count = np.random.default_rng(0), int(seconds * RATE)
    chord = sum(np.sin(2 * np.pi * hertz * np.arange(count) / RATE) for hertz in (262, 330, 392))
    sounds = [np.zeros(count), 0.1 * generator.standard_normal(count), 0.1 * chord]
    for sound in sounds:
        assert model.predict_one(sound, "the dog sat on the mat", rate=RATE) <= 0.02
    assert audiomatch.score(sounds[0], "you", rate=RATE, model=model).verdict == "no speech"


def test_one_clip_is_scored_without_torch(sentences, tmp_path):
    program = (
        "import sys; from audiomatch.cli import main\n"
        "try: main()\n"
        "finally: print(sorted({'torch', 'sklearn', 'transformers'} & {*sys.modules}))"
    )
    words = ["score", str(sentences.paths[0]), sentences.texts[0], "--model", "phones:ready"]
    told = subprocess.run(
        [sys.executable, "-c", program, *words, "--cache", str(tmp_path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "P(match)" in told.stdout and told.stdout.splitlines()[-1] == "[]", told.stderr


def test_the_experts_of_speechocean762_are_compared(sentences, tmp_path, monkeypatch, capsys):
    """On a folder as the corpus is published, with made-up scores."""
    (tmp_path / "test").mkdir()
    (tmp_path / "resource").mkdir()
    lines = {"wav.scp": "", "text": "", "utt2spk": ""}
    scores = {}
    for i, (path, text) in enumerate(zip(sentences.paths, sentences.texts, strict=True)):
        name, words = f"0001{i:05}", text.upper().rstrip(".").split()
        soundfile.write(tmp_path / f"{name}.WAV", load_audio(path), RATE)
        values = (f"{name}.WAV", " ".join(words), f"000{i % 3}")
        for table, value in zip(lines, values, strict=True):
            lines[table] += f"{name}\t{value}\n"
        word = {"phones": ["DH", "AH0"], "accuracy": i + 5, "phones-accuracy": [i / 2, 2 - i / 2]}
        rated = [{**word, "text": one} for one in words]
        marks = {"accuracy": 5 + i, "completeness": 10.0, "fluency": 9, "prosodic": 9, "total": 8}
        scores[name] = {"text": " ".join(words), **marks, "words": rated}
    for table, content in lines.items():
        (tmp_path / "test" / table).write_text(content)
    (tmp_path / "resource" / "scores.json").write_text(json.dumps(scores))
    monkeypatch.setattr(sys, "argv", ["speechocean", str(tmp_path)])
    monkeypatch.setenv("AUDIOMATCH_CACHE", str(tmp_path / "cache"))
    speechocean.main()
    told = capsys.readouterr().out
    assert "0 sentences are scored in other words" in told
    rows = {
        line.split("|")[1].strip(): line.split("|") for line in told.splitlines() if "|" in line
    }
    count = sum(len(text.split()) for text in sentences.texts)
    assert int(rows["words"][2]) == count and int(rows["sentences"][2]) == 4
    assert int(rows["phones"][2]) >= 2 and -1 <= float(rows["phones"][3]) <= 1
