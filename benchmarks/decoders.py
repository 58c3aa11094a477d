"""How near decoded clips are to what the ffmpeg program decodes, and how long decoding takes.

Writes a clip of mini-screener into a matrix of containers, codecs, rates and channels, decodes each
file, and compares with ffmpeg's samples after the same averaging and resampling. Needs `ffmpeg` and
the extra `av`. With --against FILE, an earlier `audiomatch/audio.py` of one module, it times both
in turn on the formats that both read.
"""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from audiomatch.audio import load_audio
from audiomatch.decoding.levels import to_mono
from audiomatch.errors import ClipError
from audiomatch.inputs import open_data

RATES = (8_000, 11_025, 16_000, 22_050, 44_100, 48_000)
CHANNELS = (1, 2, 6)
# How each is written: (suffix, soundfile's subtype) or (suffix, ffmpeg's options).
BY_SOUNDFILE = [
    ("wav", "PCM_U8"), ("wav", "PCM_16"), ("wav", "PCM_24"), ("wav", "PCM_32"), ("wav", "FLOAT"),
    ("wav", "DOUBLE"), ("wav", "ALAW"), ("wav", "ULAW"), ("wav", "IMA_ADPCM"), ("w64", "PCM_16"),
    ("rf64", "PCM_16"), ("aiff", "PCM_16"), ("aiff", "PCM_24"), ("au", "PCM_16"), ("au", "ULAW"),
    ("caf", "PCM_24"), ("flac", "PCM_16"), ("flac", "PCM_24"), ("ogg", "VORBIS"), ("ogg", "OPUS"),
    ("mp3", "MPEG_LAYER_III"),
]  # fmt: skip
BY_FFMPEG = [
    ("webm", "libopus"), ("webm", "libvorbis"), ("m4a", "aac"), ("m4a", "alac"), ("3gp", "aac"),
    ("mp4", "aac"), ("aac", "aac"), ("mka", "flac"), ("mka", "pcm_s24le"), ("mov", "pcm_f32le"),
    ("wma", "wmav2"), ("avi", "mp2"), ("ts", "aac"), ("ogg", "libspeex"),
]  # fmt: skip
TIMED = [("wav", "PCM_16"), ("flac", "PCM_16"), ("ogg", "VORBIS"), ("ogg", "OPUS"),
         ("mp3", "MPEG_LAYER_III")]  # fmt: skip
TURNS = 100


class Compared(NamedTuple):
    """One file against ffmpeg: the largest difference, and by how many ms it is longer."""

    difference: float
    longer: float


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--only", help="suffixes, comma-separated; none for the speed alone")
    chosen = parser.parse_args()
    only = None if chosen.only is None else chosen.only.split(",")
    if not shutil.which("ffmpeg"):
        raise SystemExit("needs the program ffmpeg")
    clips = open_data("mini-screener", labelled=False).clips
    sound = load_audio(clips.paths[3])
    with tempfile.TemporaryDirectory() as folder:
        _print_agreement(sound, Path(folder), only)
        if chosen.against:
            _print_speed(np.resize(sound, 3 * 16_000), Path(folder), chosen.against)


def _print_agreement(sound: NDArray[np.float32], folder: Path, only: list[str] | None) -> None:
    print("| container | codec | files | largest difference | longer than ffmpeg's, ms | |")
    print("| --- | --- | --- | --- | --- | --- |")
    for suffix, codec in BY_SOUNDFILE + BY_FFMPEG:
        if only is not None and suffix not in only:
            continue
        found: list[Compared] = []
        refused: list[str] = []
        for file in _files(sound, folder, suffix, codec):
            try:
                found.append(_compare(file))
            except ClipError as error:
                refused.append(str(error).split(file.name)[-1].strip())
        if found or refused:
            worst = max((one.difference for one in found), default=np.nan)
            longer = [one.longer for one in found] or [np.nan]
            print(
                f"| {suffix} | {codec} | {len(found)} | {worst:.1e} "
                f"| {min(longer):.1f} to {max(longer):.1f} | {'; '.join(sorted(set(refused)))} |"
            )


def _files(sound: NDArray[np.float32], folder: Path, suffix: str, codec: str) -> Iterator[Path]:
    """Write the clip at every rate and number of channels that the codec has."""
    for rate in RATES:
        samples = soxr.resample(sound, 16_000, rate)
        for channels in CHANNELS:
            file = folder / f"{rate}-{channels}-{codec}.{suffix}"
            # Channels of their own: each is later and quieter than the one before.
            data = np.stack([np.roll(samples, 40 * i) / (i + 1) for i in range(channels)], axis=1)
            if _written(file, data, rate, suffix, codec):
                yield file


def _written(file: Path, data: NDArray[np.float32], rate: int, suffix: str, codec: str) -> bool:
    if (suffix, codec) in BY_SOUNDFILE:
        try:
            soundfile.write(file, data, rate, subtype=codec, format=suffix.upper())
        except soundfile.LibsndfileError:
            return False
        return True
    plain = file.with_suffix(".plain.wav")
    soundfile.write(plain, data, rate, subtype="FLOAT")
    command = ["ffmpeg", "-v", "error", "-y", "-i", plain, "-c:a", codec, "-strict", "-2", file]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _compare(file: Path) -> Compared:
    ours, theirs = load_audio(file), _by_ffmpeg(file)
    both = min(len(ours), len(theirs))
    return Compared(
        float(np.abs(ours[:both] - theirs[:both]).max()), (len(ours) - len(theirs)) / 16
    )


def _by_ffmpeg(file: Path) -> NDArray[np.float32]:
    facts = subprocess.run(
        ["ffprobe", "-v", "error", "-select_streams", "a:0", "-show_entries",
         "stream=sample_rate,channels", "-of", "csv=p=0", file],
        capture_output=True, text=True, check=True,
    ).stdout.split("\n")[0].strip(",")  # fmt: skip
    rate, channels = map(int, facts.split(",")[:2])
    command = ["ffmpeg", "-v", "error", "-i", file, "-map", "0:a:0", "-f", "f32le", "-"]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    mono, _ = to_mono(np.frombuffer(raw, np.float32).reshape(-1, channels))
    return soxr.resample(mono, rate, 16_000) if rate != 16_000 else mono


def _print_speed(sound: NDArray[np.float32], folder: Path, against: Path) -> None:
    spec = importlib.util.spec_from_file_location("earlier", against)
    assert spec and spec.loader
    earlier = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(earlier)
    print("\n| 3 s of | rate | channels | before, ms | now, ms | median of paired ratios |")
    print("| --- | --- | --- | --- | --- | --- |")
    for suffix, codec in TIMED:
        for file in _files(sound, folder, suffix, codec):
            rate, channels = file.name.split("-")[:2]
            if rate not in ("16000", "48000") or channels == "6":
                continue
            before, now = _timed(file, earlier.load_audio)
            ratio = statistics.median(n / b for b, n in zip(before, now, strict=True))
            print(
                f"| {suffix} {codec} | {rate} | {channels} | {min(before) * 1e3:.2f} "
                f"| {min(now) * 1e3:.2f} | {ratio:.2f} |"
            )


def _timed(file: Path, earlier: object) -> tuple[list[float], list[float]]:
    """Return the seconds of this thread that both take, in turn."""
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(TURNS):
        for which in (0, 1) if turn % 2 else (1, 0):
            load = load_audio if which else earlier
            started = time.thread_time()
            assert callable(load)
            load(file)
            times[which].append(time.thread_time() - started)
    return times


if __name__ == "__main__":
    main()
