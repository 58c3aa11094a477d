"""What is said whatever the text: the best path through any phones, in any order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audiomatch_phones.acoustics import Acoustics, Heard, Scores
from audiomatch_phones.model_files import STATES

PHONE = 6.0  # nats that each further phone costs: without, a path changes phone at any noise


def phone_loop(heard: Heard, model: Acoustics) -> tuple[Scores, NDArray[np.int64]]:
    """Return the log density of the best path of phones at each frame, and its phone, (frames,)."""
    units = heard.units.reshape(len(heard.best), -1, STATES)  # (frames, phones, states)
    stay, leave = model.parameters.stay, model.parameters.leave
    frames, phones, _ = units.shape
    came = np.zeros((frames, phones, STATES), bool)  # from the state, or phone, before
    last = np.zeros(frames, np.int64)  # the phone that a new one follows best
    scores = np.full((phones, STATES), -1e30)
    scores[:, 0] = units[0, :, 0]
    for frame in range(1, frames):
        ends = scores[:, -1] + leave[:, -1]
        last[frame] = ends.argmax()
        moved = np.empty((phones, STATES))
        moved[:, 0] = ends[last[frame]] - PHONE
        moved[:, 1:] = scores[:, :-1] + leave[:, :-1]
        kept = scores + stay
        came[frame] = moved > kept
        scores = np.maximum(moved, kept) + units[frame]
    phone, state = divmod(int(scores.argmax()), STATES)
    path = np.empty((frames, 2), np.int64)
    for frame in range(frames - 1, -1, -1):
        path[frame] = phone, state
        if came[frame, phone, state]:
            phone, state = (phone, state - 1) if state else (int(last[frame]), STATES - 1)
    return units[np.arange(frames), path[:, 0], path[:, 1]], path[:, 0]
