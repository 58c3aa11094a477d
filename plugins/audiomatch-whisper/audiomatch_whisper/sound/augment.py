"""Speech varied anew in every epoch, by the library audiomentations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiomatch.audio import SAMPLE_RATE

Augment = Callable[[NDArray[np.float32]], NDArray[np.float32]]
SHORTEST = SAMPLE_RATE // 10  # what pace and pitch can be changed of


def augmenter(share: float) -> Augment:
    """Return what varies a clip with probability `share`: noise, pace, pitch, a short gap.

    Random numbers come from `random` and NumPy, which `Compute` seeds. What says what is said is
    left: the pace changes by at most 10 %, the pitch by two semitones, a gap is under 5 % long.
    """
    import audiomentations as library

    compose: Any = library.Compose(
        [
            library.TimeStretch(0.9, 1.1, leave_length_unchanged=False, p=0.5),
            library.PitchShift(-2, 2, p=0.5),
            library.AddGaussianSNR(min_snr_db=10, max_snr_db=40, p=0.5),
            library.TimeMask(0.01, 0.05, p=0.3),
        ],
        p=share,
    )

    def augment(audio: NDArray[np.float32]) -> NDArray[np.float32]:
        if len(audio) < SHORTEST:
            return audio
        return np.asarray(compose(audio, SAMPLE_RATE), dtype=np.float32)

    return augment
