from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from audiomatch import ClipError
from audiomatch.audio import load_audio

FORMATS = [
    ("wav", "PCM_16"),
    ("flac", "PCM_16"),
    ("ogg", "VORBIS"),
    ("opus", "OPUS"),
    ("mp3", None),
]


@pytest.mark.parametrize(("suffix", "subtype"), FORMATS)
@pytest.mark.parametrize("rate", [8_000, 48_000])
def test_every_format_becomes_16k_mono(
    tmp_path: Path, suffix: str, subtype: str | None, rate: int
) -> None:
    time = np.arange(rate) / rate
    tone = 0.5 * np.sin(2 * np.pi * 500 * time)
    path = tmp_path / f"clip.{suffix}"
    container = "OGG" if suffix == "opus" else None
    soundfile.write(path, np.stack([tone, tone], axis=1), rate, subtype=subtype, format=container)
    audio = load_audio(path)
    assert audio.dtype == np.float32 and audio.ndim == 1
    assert audio.size == pytest.approx(16_000, abs=1_600)
    middle = audio[4_000:12_000]
    loudest = np.argmax(np.abs(np.fft.rfft(middle))) * 16_000 / middle.size
    assert loudest == pytest.approx(500, abs=5)
    assert np.abs(middle).max() == pytest.approx(0.5, abs=0.1)


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 48_000), st.sampled_from([8_000, 11_025, 22_050, 44_100]))
def test_length_follows_the_rate(
    tmp_path_factory: pytest.TempPathFactory, samples: int, rate: int
) -> None:
    path = tmp_path_factory.mktemp("audio") / "a.wav"
    soundfile.write(path, np.full(samples, 0.1), rate)
    assert load_audio(path).size == pytest.approx(samples * 16_000 / rate, abs=1)


def test_channels_are_averaged(tmp_path: Path) -> None:
    left, right = np.full((2, 1_600), [[0.5], [0.25]])
    soundfile.write(tmp_path / "a.wav", np.stack([left, right], axis=1), 16_000)
    assert load_audio(tmp_path / "a.wav")[800] == 0.375


def test_bad_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ClipError, match=r"no such audio file: .*gone\.wav"):
        load_audio(tmp_path / "gone.wav")
    (tmp_path / "zero.wav").write_bytes(b"")
    with pytest.raises(ClipError, match=r"zero\.wav is empty"):
        load_audio(tmp_path / "zero.wav")
    (tmp_path / "text.wav").write_text("this is not sound")
    with pytest.raises(ClipError, match=r"text\.wav is text, not audio"):
        load_audio(tmp_path / "text.wav")
    soundfile.write(tmp_path / "none.wav", np.zeros(0), 16_000)
    with pytest.raises(ClipError, match=r"none\.wav holds no audio"):
        load_audio(tmp_path / "none.wav")
    soundfile.write(tmp_path / "long.wav", np.zeros(30 * 8_000 + 801), 8_000)
    with pytest.raises(ClipError, match=r"long\.wav is longer than 30 s"):
        load_audio(tmp_path / "long.wav")
    soundfile.write(tmp_path / "nan.wav", np.full(99, np.nan), 16_000, subtype="FLOAT")
    with pytest.raises(ClipError, match=r"nan\.wav holds samples that are not finite"):
        load_audio(tmp_path / "nan.wav")
    soundfile.write(tmp_path / "just.wav", np.zeros(30 * 8_000 + 800), 8_000)
    assert load_audio(tmp_path / "just.wav").size == 480_000
