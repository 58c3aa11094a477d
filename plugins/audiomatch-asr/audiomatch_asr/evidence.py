"""What the head judges by: numbers of a text, given the speech and given silence."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audiomatch_asr.texts import Spelling

Vector = NDArray[np.float64]
NAMES = (
    "mean log p",
    "least log p",
    "log tokens",
    "end log p",
    "mean gain",
    "least word log p",
    "least word gain",
)


def evidence(log_p: Vector, silent: Vector, spelling: Spelling) -> Vector:
    """Return the numbers of `NAMES` of a text, (7,).

    The gain over silence is the log probability less that of the same text given silence: the
    pointwise mutual information of speech and token, without what the text alone makes likely.

    Args:
        log_p: log probability of each token and of the end, (u + 1,).
        silent: that given silence, (u + 1,).
        spelling: the text.
    """
    own, gain = log_p[:-1], (log_p - silent)[:-1]
    return np.array(
        [
            own.mean(),
            own.min(),
            np.log(len(own)),
            log_p[-1],
            gain.mean(),
            _least_word(own, spelling),
            _least_word(gain, spelling),
        ]
    )


def _least_word(values: Vector, spelling: Spelling) -> float:
    """Return the least sum of a word's values."""
    _, words = np.unique(spelling.words, return_inverse=True)
    return float(np.bincount(words, weights=values).min())
