"""Log-mel spectrograms of fixed crops: the same clip always gives the same ones."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import soxr
import torch
from numpy.typing import NDArray
from transformers import ClapFeatureExtractor

from audiomatch.audio import SAMPLE_RATE, load_audio
from audiomatch.clips import Clips
from audiomatch.errors import ClipError
from audiomatch.files import atomic_file
from audiomatch.matcher import Run

VERSION = "1"  # of this file's numbers; part of the names under which they are kept
QUIETEST = 1e-10
# All of ClapFeatureExtractor's options that decide a spectrogram.
OPTIONS = (
    "feature_size", "sampling_rate", "hop_length", "max_length_s", "fft_window_size",
    "frequency_min", "frequency_max", "truncation", "padding",
)  # fmt: skip


def crops(audio: NDArray[np.float32], window: int, padding: str) -> NDArray[np.float32]:
    """Cut a clip into crops of `window` samples, shape (crops, window).

    A longer clip gives the fewest crops that cover it, evenly spaced from its start to its end. A
    shorter one is repeated as often as it fits whole and followed by silence (`repeatpad`),
    repeated and cut (`repeat`), or followed by silence (`pad`), as `ClapFeatureExtractor` does.
    """
    if len(audio) > window:
        count = -(-len(audio) // window)
        starts = np.linspace(0, len(audio) - window, count).round().astype(int)
        return np.stack([audio[start : start + window] for start in starts])
    if padding == "repeat":
        return np.resize(audio, window)[None]
    if padding == "repeatpad":
        audio = np.tile(audio, window // len(audio))
    return np.pad(audio, (0, window - len(audio)))[None]


def log_mel(waves: NDArray[np.float32], extractor: ClapFeatureExtractor) -> NDArray[np.float32]:
    """Return log-mel spectrograms in dB: (crops, samples) to (crops, frames, mels).

    What `ClapFeatureExtractor` computes with a loop over frames, several times as fast.
    """
    fused = extractor.truncation == "fusion"
    filters = extractor.mel_filters if fused else extractor.mel_filters_slaney
    size = extractor.fft_window_size
    spectrum = torch.stft(
        torch.from_numpy(waves).double(),
        size,
        extractor.hop_length,
        window=torch.hann_window(size, dtype=torch.float64),
        center=True,
        pad_mode="reflect",
        return_complex=True,
    )
    power = spectrum.abs().square().transpose(1, 2) @ torch.from_numpy(filters)
    return np.asarray(10 * power.clamp(min=QUIETEST).log10(), dtype=np.float32)


class Mels:
    """The spectrograms of some clips, computed when asked for and perhaps kept in the cache."""

    def __init__(self, clips: Clips, extractor: ClapFeatureExtractor, run: Run) -> None:
        """Take the clips' digests; nothing is computed yet."""
        self.clips, self.extractor, self.run = clips, extractor, run
        self.window = int(extractor.max_length_s * extractor.sampling_rate)
        self.content = [content_digest(path) for path in clips.paths]
        self._folder = run.cache / "clap" / f"mel-{extractor_digest(extractor)}"

    def compute(self, i: int) -> NDArray[np.float32]:
        """Return the crops of clip `i`: (crops, frames, mels). Raises `ClipError` with its row."""
        try:
            audio = load_audio(self.clips.paths[i])
        except ClipError as error:
            raise ClipError(f"{self.clips.where(i)}: {error}") from None
        rate = int(self.extractor.sampling_rate)
        if rate != SAMPLE_RATE:
            audio = soxr.resample(audio, SAMPLE_RATE, rate)
        return log_mel(crops(audio, self.window, self.extractor.padding), self.extractor)

    def keep(self) -> NDArray[np.int64]:
        """Compute what the cache does not have; returns the number of crops of each clip."""

        def one(i: int) -> int:
            task.advance()
            place = self._place(i)
            if place is None or not place.is_file():
                mel = self.compute(i)
                if place is not None:
                    save_array(place, mel)
                return len(mel)
            return len(np.load(place, mmap_mode="r"))

        with (
            self.run.progress.task("log-mel", total=len(self.clips)) as task,
            ThreadPoolExecutor(max(1, self.run.workers)) as pool,
        ):
            return np.array(list(pool.map(one, range(len(self.clips)))), dtype=np.int64)

    def __getitem__(self, i: int) -> NDArray[np.float32]:
        place = self._place(i)
        if place is not None and place.is_file():
            return np.asarray(np.load(place), dtype=np.float32)
        return self.compute(i)

    def _place(self, i: int) -> Path | None:
        return place_in(self._folder, self.content[i]) if self.content[i] else None


def content_digest(path: Path) -> str:
    """SHA-256 over a file; empty where it cannot be read, of which `load_audio` says more."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def extractor_digest(extractor: ClapFeatureExtractor) -> str:
    """Return a digest of all that decides the numbers of `Mels`."""
    facts = [VERSION, soxr.__version__, *(f"{n}={getattr(extractor, n)}" for n in OPTIONS)]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]


def place_in(folder: Path, digest: str) -> Path:
    """Return where the array of a digest is kept."""
    return folder / digest[:2] / f"{digest[2:34]}.npy"


def save_array(place: Path, array: NDArray[np.float32]) -> None:
    """Write an array whole or not at all."""
    with atomic_file(place) as temporary, temporary.open("wb") as file:
        np.save(file, array)
