"""Log-mel spectrograms: computed once a clip over what it holds, padded to any length after."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from transformers import WhisperFeatureExtractor

from audiomatch.audio import MAX_SECONDS, SAMPLE_RATE, load_audio
from audiomatch.clips import Clips
from audiomatch.errors import ClipError
from audiomatch.matcher import Run

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


class Features:
    """The spectrograms of some clips.

    Attributes:
        seconds: how long the encoder sees each clip, float64 of shape (n,).
    """

    def __init__(
        self, clips: Clips, extractor: WhisperFeatureExtractor, run: Run, pad: str, margin: float
    ) -> None:
        """Load and transform every clip; raises `ClipError` with the clip's row."""

        def one(i: int) -> NDArray[np.float32]:
            try:
                audio = load_audio(paths[i])
            except ClipError as error:
                raise ClipError(f"{clips.where(i)}: {error}") from None
            mel = log_mel(audio, extractor, margin)
            task.advance()
            return mel

        paths = clips.paths
        with (
            run.progress.task("log-mel", total=len(clips)) as task,
            ThreadPoolExecutor(max(1, run.workers)) as pool,
        ):
            self._mels = list(pool.map(one, range(len(clips))))
        frames = np.array([mel.shape[1] for mel in self._mels], dtype=np.int64)
        if pad == "30s":
            frames[:] = int(MAX_SECONDS * FRAMES_A_SECOND)
        self._frames = frames
        self.seconds = frames / FRAMES_A_SECOND

    def __call__(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return float32 of shape (rows, mels, frames); the rows must be equally long."""
        frames = int(self._frames[rows[0]])
        return np.stack([pad_frames(self._mels[i], frames) for i in rows])
