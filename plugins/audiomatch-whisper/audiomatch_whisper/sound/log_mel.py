"""Log-mel spectrograms: computed once a clip over what it holds, padded to any length after."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import soundfile
import soxr
import torch
import transformers
from numpy.typing import NDArray
from transformers import WhisperFeatureExtractor

from audiomatch.audio import MAX_SECONDS, SAMPLE_RATE, Recording, recordings, row_named
from audiomatch.clips import Clips
from audiomatch.matcher import Run
from audiomatch.running.array_store import ArrayStore
from audiomatch_whisper.sound.augment import Augment
from audiomatch_whisper.sound.speech import Speech

VERSION = 2  # of `log_mel`, `Speech` and `load_audio`: raise it when their numbers change
KEPT_AT_ONCE = 64 * 2**20  # bytes of spectrograms that are written together

STEP_SECONDS = 0.5
FRAMES_A_SECOND = 100
_STEP = int(STEP_SECONDS * SAMPLE_RATE)
_FULL = int(MAX_SECONDS * SAMPLE_RATE)


def padded_samples(samples: int, margin: float) -> int:
    """Return how long the encoder sees a clip: itself and the margin, rounded up, at most 30 s."""
    wanted = samples + int(margin * SAMPLE_RATE)
    return min(-(-wanted // _STEP) * _STEP, _FULL)


def log_mel(
    audio: NDArray[np.float32], extractor: WhisperFeatureExtractor, margin: float
) -> NDArray[np.float32]:
    """Return Whisper's log-mel spectrogram of the clip and its margin, shape (mels, frames).

    Its frames are the first ones of the spectrogram padded to 30 s: what is normalised is the
    clip's own maximum, which silence never is. What follows is silence, see `pad_frames`.
    """
    wave = np.zeros(padded_samples(len(audio), margin), dtype=np.float32)
    wave[: len(audio)] = audio
    out = extractor(wave, sampling_rate=SAMPLE_RATE, padding="do_not_pad", return_tensors="np")
    return np.asarray(out["input_features"][0], dtype=np.float32)


def pad_frames(mel: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
    """Append silence: digital silence is the same in every frame, so the last one is repeated."""
    return np.pad(mel, ((0, 0), (0, frames - mel.shape[1])), mode="edge")


def _speech(recording: Recording, trim: bool) -> NDArray[np.float32]:
    audio = recording.load()
    if not trim:
        return audio
    speech = Speech.of(audio, trim)
    return audio[speech.first : speech.last]


def _keys(clips: Clips, extractor: WhisperFeatureExtractor, margin: float, trim: bool) -> list[str]:
    """Return a digest of all that decides each clip's `log_mel`."""
    decoders = [soundfile.__libsndfile_version__, soxr.__version__]
    code = [VERSION, *decoders, transformers.__version__, torch.__version__]
    facts = json.dumps([code, extractor.to_dict(), margin, trim], sort_keys=True)
    return [hashlib.sha256(f"{audio} {facts}".encode()).hexdigest() for audio in clips.digests]


class LogMels:
    """The spectrograms of some clips, computed once and mapped from `run.cache`.

    Attributes:
        seconds: how long the encoder sees each clip, float64 of shape (n,).
    """

    def __init__(
        self,
        clips: Clips,
        extractor: WhisperFeatureExtractor,
        run: Run,
        pad: str,
        margin: float,
        trim: bool = False,
    ) -> None:
        """Load and transform every clip; raises `ClipError` with the clip's row.

        Where the cache cannot be written, the spectrograms are held in memory.
        """

        def one(key: str) -> NDArray[np.float32]:
            i = missing[key]
            with row_named(clips, i):
                return log_mel(_speech(self._recordings[i], trim), extractor, margin)

        self._recordings, self._how = recordings(clips), (extractor, margin, trim)
        keys = _keys(clips, extractor, margin, trim)
        store = ArrayStore(run.cache / "log-mel")
        mels = store.get(dict.fromkeys(keys))
        missing: dict[str, int] = {}
        for i, key in enumerate(keys):
            if key not in mels:
                missing.setdefault(key, i)
        if missing:
            with (
                run.progress.task("log-mel", total=len(missing)) as task,
                ThreadPoolExecutor(max(1, run.workers)) as pool,
            ):
                kept = _Keeper(store, run)
                try:
                    for key, mel in zip(missing, pool.map(one, missing), strict=True):
                        kept.add(key, mel)
                        task.advance()
                except BaseException:
                    pool.shutdown(cancel_futures=True)
                    raise
                finally:
                    kept.write()
            mels |= kept.in_memory | store.get(missing)
            # Another process may have found the store damaged and started it anew.
            mels |= {key: one(key) for key in missing if key not in mels}
        self._mels = [mels[key] for key in keys]
        frames = np.array([mel.shape[1] for mel in self._mels], dtype=np.int64)
        if pad == "30s":
            frames[:] = int(MAX_SECONDS * FRAMES_A_SECOND)
        self._frames = frames
        self.seconds = frames / FRAMES_A_SECOND

    def __call__(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return float32 of shape (rows, mels, frames); the rows must be equally long."""
        return self._stack(rows, [self._mels[i] for i in rows])

    def augmented(self, rows: NDArray[np.int64], augment: Augment) -> NDArray[np.float32]:
        """Return the spectrograms of the clips as `augment` varies them, cut or padded alike."""
        extractor, margin, trim = self._how
        parts = [_speech(self._recordings[i], trim) for i in rows]
        return self._stack(rows, [log_mel(augment(part), extractor, margin) for part in parts])

    def _stack(
        self, rows: NDArray[np.int64], mels: list[NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        frames = int(self._frames[rows[0]])
        return np.stack([pad_frames(mel[:, :frames], frames) for mel in mels])


class _Keeper:
    """Writes spectrograms to a store, many at a time.

    Attributes:
        in_memory: what could not be written.
    """

    def __init__(self, store: ArrayStore, run: Run) -> None:
        self.in_memory: dict[str, NDArray[np.float32]] = {}
        self._store, self._run = store, run
        self._waiting: dict[str, NDArray[np.float32]] = {}
        self._bytes = 0

    def add(self, key: str, mel: NDArray[np.float32]) -> None:
        """Take one; it is written with others."""
        self._waiting[key] = mel
        self._bytes += mel.nbytes
        if self._bytes >= KEPT_AT_ONCE:
            self.write()

    def write(self) -> None:
        """Write what waits; once the disk has refused, nothing more is tried."""
        waiting, self._waiting, self._bytes = self._waiting, {}, 0
        if waiting and (self.in_memory or not self._store.put(waiting)):
            if not self.in_memory:
                self._run.progress.say(
                    f"{self._store.folder}: cannot be written; spectrograms are kept in memory"
                )
            self.in_memory |= waiting
