"""What a probability means to who asked: the one place that draws the lines."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Verdict = Literal["match", "mismatch", "listen", "no speech"]

MATCH = 0.5
SAID = 0.5


def give_verdicts(p_match: NDArray[np.float64]) -> list[Verdict]:
    """Return what to make of each P(match)."""
    return ["match" if p >= MATCH else "mismatch" for p in p_match]


def is_said(p_said: float) -> bool:
    """Say whether a word counts as said."""
    return p_said >= SAID
