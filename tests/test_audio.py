from __future__ import annotations

import io
import os
import random
import struct
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from audiomatch import ClipError, Run
from audiomatch.audio import load_audio
from audiomatch.clips import Clips
from audiomatch.decoding import Decoded, decode
from audiomatch.inputs import one_clip
from audiomatch.intake import admit

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


def test_a_file_is_decoded_once_and_what_is_given_is_the_callers_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, again = tmp_path / "a.wav", tmp_path / "b.wav"
    soundfile.write(path, np.linspace(-0.5, 0.5, 1_234), 16_000)
    first = load_audio(path)
    expected = first.copy()
    first *= 0  # as a plugin may
    again.write_bytes(path.read_bytes())
    monkeypatch.setattr("audiomatch.audio.decode", pytest.fail)
    for one in (path, again):
        np.testing.assert_array_equal(load_audio(one), expected)
    monkeypatch.undo()
    soundfile.write(path, np.full(99, 0.25), 16_000)
    np.testing.assert_array_equal(load_audio(path), np.full(99, 0.25, np.float32))


def test_what_makes_room_for_sound_takes_none_of_the_callers_random_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = np.zeros(2_000_000, np.float32)  # 8 MB, of which 16 are kept
    monkeypatch.setattr("audiomatch.audio.decode", lambda *_: Decoded(long, []))
    before = random.getstate()
    for i in range(20):
        path = tmp_path / f"{i}.wav"
        path.write_bytes(b"%d" % i)
        load_audio(path)
    assert random.getstate() == before


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


RATE = 16_000
NOISE = (np.random.default_rng(0).normal(size=2 * RATE) * 3_000).astype(np.int16)


def encoded(form: str, samples: np.ndarray = NOISE, rate: int = RATE, **how: str) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=form, **how)
    return file.getvalue()


def muxed(
    container: str, codec: str, samples: np.ndarray = NOISE, rate: int = 48_000, title: str = ""
) -> bytes:
    """Encode as browsers and phones do."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        out.metadata["title"] = title
        stream = out.add_stream(codec, rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None].astype(np.int16), "s16", "mono")
        frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), 0
        fifo, resampler = av.AudioFifo(), av.AudioResampler(stream.format, "mono", rate)
        for part in resampler.resample(frame):
            fifo.write(part)
        size = stream.frame_size or 1024
        while part := fifo.read(size, partial=True):
            out.mux(stream.encode(part))
        out.mux(stream.encode(None))
    return file.getvalue()


def seconds(data: bytes) -> float:
    return len(decode(data, "x")[0]) / RATE


def with_data_size(wav: bytes, size: int) -> bytes:
    place = wav.find(b"data") + 4
    return wav[:place] + struct.pack("<I", size) + wav[place + 4 :]


def without_length(flac: bytes) -> bytes:
    """Take out the number of samples: the last 36 bits of 8 bytes of STREAMINFO."""
    return flac[:21] + bytes([flac[21] & 0xF0]) + bytes(4) + flac[26:]


ID3 = b"ID3\x03\0\0\0\0\0\x0a" + bytes(10)
WHOLE = {
    "WAV without a length": with_data_size(encoded("WAV"), 0),
    "WAV from a pipe": with_data_size(encoded("WAV"), 0xFFFFFFFF),
    "WAV from sox's pipe": with_data_size(encoded("WAV"), 0x7FFFFFFF - 36),
    "FLAC without a length": without_length(encoded("FLAC")),
    "two FLAC": encoded("FLAC", NOISE[:RATE]) + encoded("FLAC", NOISE[: RATE // 2], 8_000),
    "two WAV": encoded("WAV", NOISE[:RATE]) * 2,
    "two Vorbis": encoded("OGG", NOISE[:RATE]) * 2,
    "Vorbis and Opus": encoded("OGG", NOISE[:RATE])
    + encoded("OGG", NOISE[: RATE // 2], 8_000, subtype="OPUS"),
    "two MP3": encoded("MP3", NOISE[:RATE]) * 2,
    "MP3 of one and two channels": encoded("MP3", NOISE[:RATE])
    + encoded("MP3", np.stack([NOISE[:RATE]] * 2, axis=1)),
    **{form: encoded(form) for form in ("AIFF", "AU", "CAF", "W64", "RF64", "NIST")},
}


@pytest.mark.parametrize("name", WHOLE)
def test_all_of_a_file_is_decoded(name: str) -> None:
    samples, warnings = decode(WHOLE[name], "x")
    assert len(samples) == 2 * RATE and not warnings


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG"])
@pytest.mark.parametrize("before", [bytes(512), b"\r\n", ID3])
def test_what_is_before_a_header_is_passed_over_and_said(form: str, before: bytes) -> None:
    samples, warnings = decode(before + encoded(form), "x")
    assert np.array_equal(samples, decode(encoded(form), "x")[0])
    assert warnings == [f"{len(before)} bytes before its header were passed over"]


def half(data: bytes) -> bytes:
    return data[: len(data) // 2]


VORBIS = encoded("OGG")
ODD = {
    "WAV cut": (half(encoded("WAV")), "is cut short: 31978 of the 64000 bytes"),
    "WAV cut by a byte": (encoded("WAV")[:-1], "is cut short: 63999 of the 64000 bytes"),
    "AIFF cut": (half(encoded("AIFF")), "is cut short"),
    "AU cut": (half(encoded("AU")), "is cut short"),
    "Wave64 cut": (half(encoded("W64")), "is cut short"),
    "RF64 cut": (half(encoded("RF64")), "is cut short"),
    "Opus cut": (encoded("OGG", subtype="OPUS")[:5_000], "is cut short: its last Ogg page"),
    "Vorbis unfinished": (VORBIS[: VORBIS.rfind(b"OggS")], "has no last page"),
    "MP3 cut": (half(encoded("MP3")), "is cut short"),
    "WebM cut": (half(muxed("webm", "libopus")), "is cut short"),
    "sound after a stale header": (with_data_size(encoded("WAV"), 100), "63900 bytes after"),
    "opposite phase": (encoded("WAV", np.stack([NOISE, -NOISE], axis=1)), "channel 1, the loudest"),
    "silent": (encoded("FLAC", np.zeros(99)), "is silent"),
    "nearly silent": (encoded("WAV", NOISE // 3_000), "is nearly silent: its peak is -7"),
    "clipped": (encoded("WAV", np.sign(NOISE) * 32_767), "is clipped throughout: 100%"),
}


@pytest.mark.parametrize("name", ODD)
def test_what_may_not_be_meant_is_said(name: str) -> None:
    data, said = ODD[name]
    assert said in " ".join(decode(data, "x")[1])


REFUSED = {
    "Git LFS": (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer.*git lfs pull"),
    "HTML": (b"\n<!DOCTYPE html><title>404</title>", "an HTML page"),
    "JSON": (b'{"error": "gone"}', "JSON text"),
    "text in UTF-16": ("gone".encode("utf-16"), "is text, not audio"),
    "zip": (b"PK\x03\x04", "a zip archive"),
    "PDF": (b"%PDF-1.7", "a PDF document"),
    "zeros": (bytes(99), "zero bytes only"),
    "noise": (b"\x81" + bytes(range(128, 256)), "not readable as audio"),
    "FLAC cut": (half(encoded("FLAC")), "not readable as audio"),
    "CAF cut": (half(encoded("CAF")), "not readable as audio"),
    **{
        f"{form} as text": (encoded(form).replace(b"\n", b"\r\n"), "transfer as text .*line feed")
        for form in ("WAV", "FLAC", "OGG", "MP3")
    },
    "WAV as UTF-8": (encoded("WAV").decode("utf-8", "replace").encode(), "replaced by U\\+FFFD"),
    "integers": (encoded("WAV", NOISE.astype(np.float32), subtype="FLOAT"), "perhaps by 32768"),
    "resampled integers": (encoded("WAV", NOISE * 0.7, subtype="DOUBLE"), "perhaps by 32768"),
    "huge promises": (
        b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\1\0\2\0"
        + struct.pack("<IIHH", 2**32 - 1, 2**32 - 1, 4, 16)
        + b"data\xfe\xff\xff\xff"
        + bytes(400),
        "sample rate of 4294967295 Hz|not readable",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_heard_right_is_refused_for_what_it_is(name: str) -> None:
    data, said = REFUSED[name]
    with pytest.raises(ClipError, match=said):
        decode(data, "x")


def test_a_peak_over_full_scale_is_no_integer() -> None:
    loud = (NOISE / 9_000).astype(np.float32)
    assert 1 < loud.max() < 2
    assert np.array_equal(decode(encoded("WAV", loud, subtype="FLOAT"), "x")[0], loud)


def test_intake_names_the_rows_of_odd_clips(
    tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.wav", "b.wav", "c.wav"):
        (tmp_path / name).write_bytes(encoded("WAV")[: None if name == "b.wav" else -999])
    rows = [(name, str(tmp_path / name), "moon") for name in ("a.wav", "b.wav", "c.wav")]
    clips = Clips(pd.DataFrame(rows, columns=["id", "audio", "expected_text"]), "rows.csv")
    for _ in range(2):  # the second time from the cache
        found = admit(clips, run)
        assert [line[:26] for line in found.warnings] == [
            "rows.csv, row 0 (id 'a.wav",
            "rows.csv, row 2 (id 'c.wav",
        ]
        assert "c.wav is cut short" in found.warnings[1] and len(found.clips) == 3
    said: list[str] = []
    one_clip(tmp_path / "a.wav", "moon", say=said.append)
    assert "a.wav is cut short" in said[0]
    one_clip(np.stack([NOISE, -NOISE], axis=1), "moon", RATE, say=said.append)
    assert "the clip has channels that cancel each other" in said[1]


CONTAINERS = [
    ("webm", "libopus"), ("mp4", "aac"), ("3gp", "aac"), ("mov", "pcm_s16le"), ("adts", "aac"),
    ("matroska", "flac"), ("ipod", "alac"), ("avi", "mp2"),
]  # fmt: skip


@pytest.mark.parametrize(("container", "codec"), CONTAINERS)
def test_what_browsers_and_phones_record_is_read(container: str, codec: str) -> None:
    time = np.arange(96_000) / 48_000
    tone = (16_000 * np.sin(2 * np.pi * 500 * time)).astype(np.int16)
    data = muxed(container, codec, tone)
    samples, warnings = decode(data, "x")
    assert len(samples) == pytest.approx(32_000, abs=1_600) and not warnings
    middle = samples[8_000:24_000]
    assert np.argmax(np.abs(np.fft.rfft(middle))) == 500
    assert np.abs(middle).max() == pytest.approx(0.49, abs=0.05)


def test_a_header_that_leads_before_its_file_is_refused_in_silence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", said.append)
    broken = encoded("AIFF")
    with pytest.raises(ClipError, match="not readable"):
        decode(broken[:22] + broken[23:], "x")
    assert not said


def test_a_title_in_another_encoding_is_no_matter() -> None:
    data = muxed("avi", "mp2", title="Grusz")
    assert b"Grusz" in data and not decode(data.replace(b"Grusz", b"Gru\xdfe"), "x")[1]


def test_without_pyav_the_file_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ClipError, match=r"a.wav is WebM or Matroska; to read it: pip install 'aud"):
        decode(muxed("webm", "libopus"), "a.wav")
    assert seconds(encoded("FLAC")) == 2


def test_a_film_without_sound_is_named() -> None:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as out:
        stream = out.add_stream("mpeg4", rate=24)
        stream.width = stream.height = 64
        out.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        out.mux(stream.encode(None))
    with pytest.raises(ClipError, match="holds no audio stream"):
        decode(file.getvalue(), "x")


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(ClipError, match="no regular file"):
        load_audio(tmp_path / "pipe.wav")
    with pytest.raises(ClipError, match="is a folder"):
        load_audio(tmp_path)
    with pytest.raises(ClipError, match="no regular file"):
        load_audio("/dev/zero")


def test_a_session_is_refused_by_its_header(tmp_path: Path, run: Run) -> None:
    size = 2 * 2**30  # as a sparse file
    with (tmp_path / "session.wav").open("wb") as file:
        file.write(with_data_size(encoded("WAV", NOISE[:0]), size))
        file.truncate(size + 44)
    with pytest.raises(ClipError, match=r"session.wav is longer than 30 s \(6.711e\+04 s\)"):
        admit(one_of(tmp_path / "session.wav"), run)
    last = load_audio(tmp_path / "session.wav", 67_000, 67_001)
    assert last.tolist() == [0.0] * RATE


def one_of(path: Path) -> Clips:
    return Clips(
        pd.DataFrame([(path.name, str(path), "moon")], columns=["id", "audio", "expected_text"])
    )


@pytest.mark.parametrize(("form", "how"), [("FLAC", {}), ("OGG", {}), ("OGG", {"subtype": "OPUS"})])
def test_a_segment_is_what_the_whole_file_has_there(
    tmp_path: Path, form: str, how: dict[str, str]
) -> None:
    (tmp_path / "a").write_bytes(encoded(form, **how))
    whole, part = load_audio(tmp_path / "a"), load_audio(tmp_path / "a", 0.5, 1.5)
    assert np.abs(part - whole[8_000:24_000]).max() < 0.02


def test_audio_of_a_kind_that_ffmpeg_has_not_is_named() -> None:
    with pytest.raises(ClipError, match="of a kind that FFmpeg does not decode"):
        decode(muxed("webm", "libopus").replace(b"A_OPUS", b"A_OPUX"), "a.webm")


@pytest.mark.parametrize(("container", "codec"), [("webm", "libopus"), ("mp4", "aac")])
def test_a_segment_of_a_film_is_what_the_whole_has_there(
    tmp_path: Path, container: str, codec: str
) -> None:
    """Up to a minute it is counted from the start, later by the times that the container holds."""
    tone = (8_000 * np.sin(np.arange(70 * 8_000) ** 1.5 / 9_000)).astype(np.int16)
    (tmp_path / "a").write_bytes(muxed(container, codec, tone, 8_000))
    for start in (50.0, 62.0):
        long = load_audio(tmp_path / "a", start - 3, start + 2)
        part = load_audio(tmp_path / "a", start, start + 1)
        middle = part[4_000:8_000]
        lags = [np.abs(middle - long[52_000 + k : 56_000 + k]).mean() for k in range(-160, 161)]
        assert min(lags) < 0.02 and (np.argmin(lags) == 160 or start == 62.0)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(-(2**15), 2**15 - 1), min_size=1, max_size=500),
    st.sampled_from([8_000, 16_000, 44_100]),
    st.integers(1, 3),
)
def test_wav_and_flac_of_one_width_sound_the_same(
    values: list[int], rate: int, channels: int
) -> None:
    samples = np.resize(np.array(values, np.int16), (len(values) + 8, channels))
    wav, flac = (decode(encoded(form, samples, rate), "x")[0] for form in ("WAV", "FLAC"))
    assert np.array_equal(wav, flac)
