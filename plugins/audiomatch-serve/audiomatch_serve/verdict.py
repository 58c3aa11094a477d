"""What a probability means to who asked: the one place that draws the lines."""

from __future__ import annotations

from typing import Literal

Verdict = Literal["match", "mismatch", "listen"]

MATCH = 0.5
SAID = 0.5


def verdict_of(p_match: float) -> Verdict:
    """Return what to make of P(match)."""
    return "match" if p_match >= MATCH else "mismatch"


def is_said(p_said: float) -> bool:
    """Say whether a word counts as said."""
    return p_said >= SAID
