from __future__ import annotations

import numpy as np
import pytest
from audiomatch_boosting.features.agreement import agreement_features
from audiomatch_boosting.features.audio import audio_features
from audiomatch_boosting.features.text import CLASSES, sounds, syllables, text_features
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from audiomatch.audio import SAMPLE_RATE


def voice(hertz: float, seconds: float, level: float = 0.3) -> np.ndarray:
    """A buzz with falling harmonics: a vowel without formants."""
    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    harmonics = range(1, int(4000 / hertz))
    buzz = sum(np.sin(2 * np.pi * hertz * n * t) / n for n in harmonics)
    return (level * buzz / np.abs(buzz).max()).astype(np.float32)


def noise(seconds: float, level: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (level * rng.standard_normal(round(seconds * SAMPLE_RATE))).astype(np.float32)


def bursts(count: int, hertz: float = 220, gap: float = 0.12) -> np.ndarray:
    parts = [noise(0.4, 1e-4, 1)]
    for i in range(count):
        parts += [voice(hertz, 0.15) * np.hanning(2400), noise(gap, 1e-4, i)]
    return np.concatenate([*parts, noise(0.4, 1e-4, 2)]).astype(np.float32)


waves = hnp.arrays(
    np.float32,
    st.integers(1, 6000),
    elements=st.floats(-1, 1, width=32),
    fill=st.floats(-1, 1, width=32),
)


@settings(max_examples=60, deadline=None)
@given(waves)
def test_features_are_finite_and_named_alike_for_any_waveform(wave):
    features = audio_features(wave)
    assert list(features) == list(audio_features(np.zeros(1, np.float32)))
    assert np.isfinite(list(features.values())).all()
    assert np.isfinite(list(agreement_features(features, text_features("a b")).values())).all()


@settings(max_examples=15, deadline=None)
@given(st.floats(0.03, 1.0), st.integers(1, 5))
def test_only_level_features_move_with_gain(gain, count):
    wave = bursts(count)
    before, after = audio_features(wave), audio_features(wave * np.float32(gain))
    for name in before:
        if name.startswith("level_"):
            continue
        assert after[name] == pytest.approx(before[name], rel=1e-3, abs=1e-3), name
    moved = after["level_peak"] - before["level_peak"]
    assert moved == pytest.approx(20 * np.log10(gain), abs=1e-3)


@settings(max_examples=15, deadline=None)
@given(st.floats(-0.3, 0.3), st.integers(1, 5))
def test_no_feature_moves_with_a_constant_offset(offset, count):
    wave = bursts(count)
    before, after = audio_features(wave), audio_features(wave + np.float32(offset))
    assert after == pytest.approx(before, rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("silence", [(8, 0), (0, 8), (3, 5)])
def test_silence_around_a_recording_moves_nothing(silence):
    wave = 0.1 * np.random.default_rng(0).standard_normal(16_000).astype(np.float32)
    wave[4_000:9_000] *= 0.05
    before, after = (
        audio_features(one) for one in (wave, np.pad(wave, np.array(silence) * 16_000))
    )
    assert after == before


@pytest.mark.parametrize("hertz", [90, 150, 220, 330, 480])
def test_yin_finds_the_pitch(hertz):
    features = audio_features(voice(hertz, 0.6) + noise(0.6, 1e-3))
    assert features["pitch_median"] == pytest.approx(12 * np.log2(hertz / 100), abs=0.1)
    assert features["voiced_share"] > 0.95


def test_noise_has_no_pitch():
    assert audio_features(noise(0.6, 0.1))["voiced_share"] < 0.1


def test_speech_activity_finds_a_burst_in_noise():
    wave = np.concatenate([noise(0.5, 1e-3), voice(200, 0.6), noise(0.9, 1e-3, 1)])
    features = audio_features(wave)
    assert features["seconds"] == pytest.approx(2.0)
    assert features["speech_seconds"] == pytest.approx(0.6, abs=0.05)
    assert features["speech_start"] == pytest.approx(0.5, abs=0.04)
    assert features["silence_after"] == pytest.approx(0.9, abs=0.05)


def test_silence_holds_no_speech():
    features = audio_features(np.zeros(16000, np.float32))
    assert features["speech_seconds"] == features["nuclei"] == features["voiced_share"] == 0


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_nuclei_are_counted(count):
    assert audio_features(bursts(count))["nuclei"] == count


def test_hiss_is_told_from_voice():
    rng = np.random.default_rng(0)
    white = rng.standard_normal(8000)
    hiss = np.diff(np.diff(white)).astype(np.float32) * 0.1
    assert audio_features(hiss)["hiss_share"] > 0.9
    assert audio_features(voice(200, 0.5))["hiss_share"] == 0


@pytest.mark.parametrize(
    ("word", "classes", "count"),
    [
        ("cat", "PVP", 1),
        ("ship", "SVP", 1),
        ("thing", "FVN", 1),
        ("knee", "NV", 1),
        ("make", "NVP", 1),
        ("table", "PVPVL", 2),
        ("happy", "FVPV", 2),
        ("queen", "PLVN", 1),
        ("night", "NVP", 1),
        ("yellow", "LVLVL", 2),
        ("banana", "PVNVNV", 3),
        ("élan", "VLVN", 2),
    ],
)
def test_sounds_guessed_from_spelling(word, classes, count):
    assert sounds(word) == classes
    assert syllables(classes) == count


@given(st.text(max_size=40))
def test_text_features_are_finite_for_any_text(text):
    features = text_features(text)
    assert np.isfinite(list(features.values())).all()
    assert sum(features[f"text_share_{name}"] for name in CLASSES.values()) <= 1 + 1e-9


@given(st.lists(st.sampled_from(["cat", "make", "banana", "ship"]), min_size=1, max_size=6))
def test_counts_add_up_over_words(words):
    whole = text_features(" ".join(words))
    for name in ("text_words", "text_letters", "text_syllables", "text_phonemes"):
        assert whole[name] == sum(text_features(word)[name] for word in words)
