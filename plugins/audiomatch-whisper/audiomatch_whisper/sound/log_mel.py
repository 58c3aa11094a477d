"""Log-mel spectrograms: computed once a clip over what it holds, padded to any length after."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from audiomatch.audio import MAX_SECONDS, SAMPLE_RATE, each_audio, recordings
from audiomatch.cache import ArrayCache
from audiomatch.clips import Clips
from audiomatch.level import at_one_level
from audiomatch.matcher import Run
from audiomatch.running.identity import computed_by
from audiomatch_whisper.sound.augment import Augment
from audiomatch_whisper.sound.mel_filters import MelExtractor
from audiomatch_whisper.sound.speech import Speech, loud_frames

STEP_SECONDS = 0.5
FRAMES_A_SECOND = 100
_STEP = int(STEP_SECONDS * SAMPLE_RATE)
_FULL = int(MAX_SECONDS * SAMPLE_RATE)


def padded_samples(samples: int, margin: float) -> int:
    """Return how long the encoder sees a clip: itself and the margin, rounded up, at most 30 s."""
    wanted = samples + int(margin * SAMPLE_RATE)
    return min(-(-wanted // _STEP) * _STEP, _FULL)


def log_mel(
    audio: NDArray[np.float32], extractor: MelExtractor, margin: float
) -> NDArray[np.float32]:
    """Return Whisper's log-mel spectrogram of the clip and its margin, shape (mels, frames).

    The clip is brought to one level first: in a spectrogram 30 dB of level are as much as what
    tells many sounds apart.

    Its frames are the first ones of the spectrogram padded to 30 s: what is normalised is the
    clip's own maximum, which silence never is. What follows is silence, see `pad_frames`.
    """
    wave = np.zeros(padded_samples(len(audio), margin), dtype=np.float32)
    wave[: len(audio)] = at_one_level(audio)
    return extractor(wave)


def pad_frames(mel: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
    """Append silence: digital silence is the same in every frame, so the last one is repeated."""
    return np.pad(mel, ((0, 0), (0, frames - mel.shape[1])), mode="edge")


def mel_bounds(mel: NDArray[np.float32]) -> tuple[float, float]:
    """Return when the sound of a spectrogram begins and ends, in seconds.

    As `speech_bounds`, but of the spectrogram, whose silence after the clip is left out.
    """
    loud = _loud_frames(mel)
    if not len(loud):
        return 0.0, mel.shape[1] / FRAMES_A_SECOND
    return float(loud[0] / FRAMES_A_SECOND), float((loud[-1] + 1) / FRAMES_A_SECOND)


def sound_before(mel: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return how many seconds of sound there are before each frame and the end: (frames + 1,)."""
    sounds = np.zeros(mel.shape[1] + 1)
    sounds[_loud_frames(mel) + 1] = 1 / FRAMES_A_SECOND
    return np.cumsum(sounds)


def _loud_frames(mel: NDArray[np.float32]) -> NDArray[np.int64]:
    scaled = 4.0 * np.asarray(mel, np.float64) - 4.0  # log10 of the power in each bin
    level = 10 * np.log10(np.sum(10.0**scaled, axis=0))  # (frames,)
    level = level[: len(np.trim_zeros(level - level.min(), "b"))]
    return loud_frames(level) if len(level) else np.zeros(0, dtype=np.int64)


def _speech(audio: NDArray[np.float32], trim: bool) -> NDArray[np.float32]:
    if not trim:
        return audio
    speech = Speech.of(audio, trim)
    return audio[speech.first : speech.last]


class LogMels:
    """The spectrograms of some clips, computed once and mapped from `run.cache`.

    Attributes:
        seconds: how long the encoder sees each clip, float64 of shape (n,).
    """

    def __init__(
        self,
        clips: Clips,
        extractor: MelExtractor,
        run: Run,
        pad: str,
        margin: float,
        trim: bool = False,
    ) -> None:
        """Load and transform every clip; raises `ClipError` with the clip's row."""
        self._recordings, self._how = recordings(clips), (extractor, margin, trim)
        version = [computed_by(__name__), extractor.mels, margin, trim]

        def compute(missing: list[int]) -> Iterator[NDArray[np.float32]]:
            return each_audio(clips.take(missing), self._log_mel, run, "log-mel")

        self._mels = ArrayCache(run, "log-mel", version).fill(clips.digests, compute)
        frames = np.array([mel.shape[1] for mel in self._mels], dtype=np.int64)
        if pad == "30s":
            frames[:] = int(MAX_SECONDS * FRAMES_A_SECOND)
        self._frames = frames
        self.seconds = frames / FRAMES_A_SECOND

    @cached_property
    def bounds(self) -> NDArray[np.float64]:
        """When the sound of each clip begins and ends, in seconds, (n, 2)."""
        return np.array([mel_bounds(mel) for mel in self._mels]).reshape(-1, 2)

    @cached_property
    def sound_before(self) -> list[NDArray[np.float64]]:
        """How many seconds of sound there are before each frame of each clip; see above."""
        return [sound_before(mel) for mel in self._mels]

    def __call__(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return float32 of shape (rows, mels, frames); the rows must be equally long."""
        return self._stack(rows, [self._mels[i] for i in rows])

    def augmented(self, rows: NDArray[np.int64], augment: Augment) -> NDArray[np.float32]:
        """Return the spectrograms of the clips as `augment` varies them, cut or padded alike."""
        audio = [self._recordings[i].load() for i in rows]
        return self._stack(rows, [self._log_mel(one, augment) for one in audio])

    def _log_mel(
        self, audio: NDArray[np.float32], augment: Augment = lambda speech: speech
    ) -> NDArray[np.float32]:
        extractor, margin, trim = self._how
        return log_mel(augment(_speech(audio, trim)), extractor, margin)

    def _stack(
        self, rows: NDArray[np.int64], mels: list[NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        frames = int(self._frames[rows[0]])
        return np.stack([pad_frames(mel[:, :frames], frames) for mel in mels])
