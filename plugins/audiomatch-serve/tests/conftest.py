"""A matcher that is quick, tells of words, and can be held up; and apps that serve it."""

from __future__ import annotations

import io
import threading
import time
from contextlib import contextmanager

import httpx2 as httpx
import numpy as np
import pytest
import soundfile
import soxr
from audiomatch_serve.app import make_app
from audiomatch_serve.settings import Settings
from starlette.testclient import TestClient

from audiomatch import Matcher, Run
from audiomatch.audio import load_audio
from audiomatch.config import MatcherConfig
from audiomatch.errors import UserError
from audiomatch.explanation import Explanation, TokenEvidence, WordEvidence
from audiomatch.fitted import Model
from audiomatch.inputs import open_data
from audiomatch.records import ModelCard, PluginRecord

TEXT = "the little dog ran"


class Ear(Matcher):
    """Judges by loudness; hears "cat" in the place of every "dog".

    Attributes:
        gate: predictions wait for it, once the warm-up is over.
        batches: how many clips each call had.
    """

    Config = MatcherConfig

    def __init__(self):
        super().__init__(MatcherConfig())
        self.needs_speech = False  # its clips and the browser's microphone are tones
        self.gate = threading.Event()
        self.gate.set()
        self.batches = []

    def fit(self, train, run):
        pass

    def save(self, folder):
        pass

    def load(self, folder):
        pass

    def predict(self, clips, run):
        self.batches.append(len(clips))
        assert self.gate.wait(20)
        if "refused" in clips.texts:
            row = clips.texts.index("refused")
            raise UserError(f"{clips.where(row)}: the text cannot be read by this matcher")
        if "crash" in clips.texts:
            raise ValueError("a secret text")
        (run.cache / "kept").write_text("clip")
        return np.array([self._loudness(path) for path in clips.paths])

    def explain(self, clips, run):
        p_match = self.predict(clips, run)
        rows = zip(clips.ids, clips.texts, p_match, strict=True)
        return [
            Explanation(i, text, float(p), text.replace("dog", "cat"), _words(text))
            for i, text, p in rows
        ]

    @staticmethod
    def _loudness(path):
        return float(np.clip(np.abs(load_audio(path)).max(), 0, 1))


def _words(text):
    return tuple(
        WordEvidence(
            word, 0.04 if word == "dog" else 0.9, -1.0, 0.1 * i, 0.1 * (i + 1),
            (TokenEvidence(word, -1.0, 0.1 * i, 0.1 * (i + 1)),),
            "cat" if word == "dog" else word, "",
        )
        for i, word in enumerate(text.split())
    )  # fmt: skip


@pytest.fixture
def ear():
    """Give the matcher."""
    return Ear()


@pytest.fixture
def model(ear, tmp_path):
    """Give it as a fitted model."""
    plugin = PluginRecord(distribution="audiomatch-serve", version="0")
    card = ModelCard(matcher="ear", config={}, plugin=plugin, audiomatch="0")
    return Model(ear, card, Run(cache=tmp_path / "cache"))


@pytest.fixture
def client(model):
    """Make a client of an app with some settings, once the model is warm."""
    opened = []

    def make(**settings):
        app = make_app(model, Settings(**settings))
        client = TestClient(app, base_url="http://localhost", raise_server_exceptions=False)
        opened.append(client.__enter__())
        wait_until_warm(client)
        return client

    yield make
    for client in opened:
        client.__exit__(None, None, None)


def wait_until_warm(client, seconds=30.0):
    deadline = time.monotonic() + seconds
    while client.get("/health").status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def tone(seconds=0.5, level=0.75, rate=16_000, kind="WAV"):
    """Return the bytes of a file with a tone."""
    wave = level * np.sin(2 * np.pi * 440 * np.arange(int(seconds * rate)) / rate)
    file = io.BytesIO()
    soundfile.write(file, wave, rate, format=kind)
    return file.getvalue()


def speech(level=0.75, rate=16_000, kind="WAV"):
    """Return the bytes of a file with speech whose loudest sample is `level`."""
    wave = load_audio(open_data("mini-screener", labelled=False).clips.paths[0])
    wave = soxr.resample(wave, 16_000, rate)
    file = io.BytesIO()
    soundfile.write(file, level / np.abs(wave).max() * wave, rate, format=kind)
    return file.getvalue()


def form(audio=None, text=TEXT, **fields):
    """Return a request's form."""
    audio = speech() if audio is None else audio
    return {"files": {"audio": ("../../etc/passwd", audio)}, "data": {"text": text, **fields}}


@pytest.fixture
def helpers():
    """The functions above."""
    from types import SimpleNamespace

    return SimpleNamespace(
        form=form, tone=tone, speech=speech, serving=serving, wait_until_warm=wait_until_warm
    )


@contextmanager
def serving(model, **settings):
    """Serve in a thread; give the address."""
    import uvicorn
    from audiomatch_serve.server import listen

    bound = listen("127.0.0.1", 0)
    app = make_app(model, Settings(**settings))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="on", ws="none"))
    thread = threading.Thread(target=server.run, args=([bound],))
    thread.start()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{bound.getsockname()[1]}") as client:
            wait_until_warm(client)
            yield str(client.base_url)
    finally:
        server.should_exit = True
        thread.join(20)
