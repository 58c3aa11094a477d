"""The check of what a matcher says of each word."""

from __future__ import annotations

import math

import numpy as np

from audiomatch.audio import SAMPLE_RATE, load_clip
from audiomatch.clips import Clips
from audiomatch.contract import explain_clips
from audiomatch.explanation import Explanation
from audiomatch.offers import Offer
from audiomatch.testing.registry import check
from audiomatch.testing.results import Failed
from audiomatch.testing.subject import Subject, require_equal

AGREES = 1e-5
EVERY = 3  # one held-out clip in so many: explaining may be much slower than predicting


def does_not_explain(offer: Offer) -> str:
    """Say why the checks of explanations do not apply, where they do not."""
    return "" if offer.info.explains else "it does not say that it explains"


@check(
    "explain",
    "words are those of the text, with times in the clip and the P(match) of predict",
    does_not_explain,
)
def explain(subject: Subject) -> str:
    """Explain some held-out clips, and explain them again."""
    clips = subject.toy.held_out
    rows = np.arange(0, len(clips), EVERY)
    clips = clips.take(rows)
    found = _explained(subject, clips)
    for i, one in enumerate(found):
        seconds = load_clip(clips, i).size / SAMPLE_RATE
        late = max(word.end for word in one.words)
        if not late <= seconds:
            raise Failed(f"{clips.where(i)}: a word ends at {late:g} s in a clip of {seconds:g} s")
        if not 0 <= one.p_match <= 1:
            raise Failed(f"{clips.where(i)}: p_match is {one.p_match}")
    within = AGREES if subject.run.device.startswith("cpu") else subject.noise
    p_match = np.array([one.p_match for one in found])
    require_equal(p_match, subject.predicted[rows], within, clips, "explaining")
    for i, (one, again) in enumerate(zip(found, _explained(subject, clips), strict=True)):
        changed = _difference(one, again, subject.same)
        if changed:
            raise Failed(f"{clips.where(i)}: explained again, {changed}")
    return f"{len(found)} clips, {sum(len(one.words) for one in found)} words"


def _explained(subject: Subject, clips: Clips) -> list[Explanation]:
    return explain_clips(subject.fitted, clips, subject.own_run())


def _difference(one: Explanation, other: Explanation, within: float) -> str:
    """Say what differs first between two explanations of a clip, or nothing."""
    for row, again in zip(one.rows(), other.rows(), strict=True):
        for name, value in row.items():
            new = again[name]
            if isinstance(value, float):
                same = math.isclose(value, new, rel_tol=within, abs_tol=within)
            else:
                same = value == new
            if not same:
                return f"{name} of {row['word']!r} goes from {value!r} to {new!r}"
    return ""
