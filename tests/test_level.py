"""One level for all clips, and what hears at it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiomatch.audio import load_audio
from audiomatch.datasets.mini_screener import open_mini_screener
from audiomatch.level import (
    DECIBELS,
    MOST_GAIN,
    active_level,
    at_one_level,
    without_clicks,
    without_silence,
)
from audiomatch.speech import has_speech

GENERATOR = np.random.default_rng(0)
SPEECH = (0.1 * GENERATOR.standard_normal(20_000)).astype(np.float32)
SPEECH[5_000:] *= 0.2


def decibels(samples):
    return 20 * np.log10(active_level(samples))


@settings(max_examples=25, deadline=None)
@given(st.floats(-30, 20), st.floats(-0.3, 0.3), st.integers(0, 40_000))
def test_neither_level_nor_offset_nor_silence_changes_what_comes_out(gain, offset, silence):
    louder = (
        np.pad(SPEECH * np.float32(10 ** (gain / 20)), (0, silence))
        if not offset
        else (SPEECH * np.float32(10 ** (gain / 20)) + np.float32(offset))
    )
    found = at_one_level(louder)[: len(SPEECH)]
    np.testing.assert_allclose(found - found.mean(), at_one_level(SPEECH), atol=2e-3)
    assert decibels(at_one_level(louder)) == pytest.approx(DECIBELS, abs=0.1)


def test_pauses_do_not_count():
    assert active_level(np.pad(SPEECH, (0, 100_000))) == pytest.approx(
        active_level(SPEECH), rel=0.05
    )


@given(st.integers(0, 300), st.integers(0, 300), st.floats(-0.3, 0.3))
def test_silence_around_a_recording_is_left_out(before, after, offset):
    recorded = np.concatenate([0.01 * SPEECH, SPEECH, 0.01 * SPEECH]) + np.float32(offset)
    assert len(recorded) % 160 == 0
    padded = np.pad(recorded, (160 * before, 160 * after))
    np.testing.assert_array_equal(without_silence(padded), recorded)
    silence = np.zeros(1000, np.float32)
    np.testing.assert_array_equal(without_silence(silence), silence)
    assert len(without_silence(silence[:0])) == 0


def test_silence_stays_and_hiss_is_raised_so_far():
    silence = np.zeros(1000, np.float32)
    np.testing.assert_array_equal(at_one_level(silence), silence)
    assert len(at_one_level(silence[:0])) == 0 and active_level(silence[:0]) == 0
    hiss = np.float32(1e-5) * SPEECH
    assert decibels(at_one_level(hiss)) - decibels(hiss) == pytest.approx(MOST_GAIN, abs=0.1)


def test_soft_speech_is_heard():
    clips = open_mini_screener(None, True)
    spoken = [load_audio(clips.paths[i]) for i in range(0, 60, 5)]
    loud = [has_speech(one) for one in spoken]
    assert sum(loud) > 10
    assert [has_speech(one * np.float32(0.01)) for one in spoken] == loud


@pytest.fixture
def click():
    """A click of 5 ms at full scale."""
    return np.random.default_rng(1).choice([-1, 1], 80).astype(np.float32)


@pytest.mark.parametrize("gain", [1, 0.003])
def test_recordings_of_speech_have_no_clicks(gain):
    clips = open_mini_screener(None, True)
    for path in clips.paths[::9]:
        samples = load_audio(path) * np.float32(gain)
        assert without_clicks(samples) is samples


def test_a_click_is_brought_down_to_what_is_around_it(click):
    noise = (1e-4 * GENERATOR.standard_normal(16_000)).astype(np.float32)
    soft = np.r_[noise, np.float32(0.02) * SPEECH, noise]
    for at in (3_000, len(soft) // 2, len(soft) - 3_000):
        struck = soft.copy()
        struck[at : at + len(click)] = click
        found = without_clicks(struck)
        changed = np.flatnonzero(found != struck)
        assert at // 160 * 160 <= changed[0] and changed[-1] < at + len(click) + 160
        assert active_level(found) == pytest.approx(active_level(soft), rel=0.02)
    assert without_clicks(click) is click and len(without_clicks(click[:0])) == 0


def test_soft_speech_beside_a_click_is_heard(click):
    clips = open_mini_screener(None, True)
    rows = [i for i in range(0, 60, 5) if has_speech(load_audio(clips.paths[i]))]
    for i in rows:
        soft = np.pad(np.float32(0.01) * load_audio(clips.paths[i]), (8_000, 0))
        soft[:80] = click
        assert has_speech(soft)
