"""The one way to a matcher: what the core gives it, and what it must give back.

A matcher is given the columns that it declares (`MatcherInfo.columns`), and texts in their normal
form (`Clips.normalised`); what it says of their words is told of the words as written. What was
not spoken is not confirmed, whatever it says: see `audiomatch.speech.speech_is_heard`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiomatch.clips import Clips
from audiomatch.errors import UserError
from audiomatch.explanation import Explanation, checked_explanations
from audiomatch.matcher import Matcher, Run
from audiomatch.speech import CEILING, low_without_speech, speech_is_heard, without_speech
from audiomatch.text import written_words


def check_fits_on(matcher: Matcher, run: Run, name: str) -> None:
    """Raise `UserError` where `run` has several devices, and the matcher fits on one."""
    if run.devices and not matcher.fits_on_several:
        raise UserError(
            f"--device {run.device_list}: {name} fits on one device; take --device {run.device}"
        )


def refused_clips(matcher: Matcher, clips: Clips, run: Run) -> list[str | None]:
    """Return for each clip why the matcher cannot take it, None where it can.

    Raises `ValueError` where the matcher gives another number of reasons.
    """
    found = matcher.refuses(_given(matcher, clips.unlabelled()), run)
    if len(found) != len(clips):
        raise ValueError(f"refuses gave {len(found)} reasons for {len(clips)} clips")
    return found


def fit_matcher(matcher: Matcher, train: Clips, run: Run) -> Clips:
    """Fit a matcher on labelled clips; returns those that it was given, which are its own."""
    given = _given(matcher, train)
    # Before `fit`: what fails here costs no training, and a stranger's code may change anything.
    heard = matcher.needs_speech and speech_is_heard(train, _own(run))
    matcher.fit(given, run)
    matcher.needs_speech = heard
    return given


def predict_matches(matcher: Matcher, clips: Clips, run: Run) -> NDArray[np.float64]:
    """Return P(match) of each clip, float64 of shape (n,); labels are taken out.

    Raises `ValueError` where the matcher gives anything else.
    """
    checked = _checked(matcher.predict(_given(matcher, clips.unlabelled()), run), clips)
    return lowered(matcher, checked, clips, run)


def lowered(
    matcher: Matcher, p_match: NDArray[np.float64], clips: Clips, run: Run
) -> NDArray[np.float64]:
    """Return P(match), shape (n,), low where nobody speaks and the matcher needs speech."""
    return low_without_speech(p_match, clips, _own(run)) if matcher.needs_speech else p_match


def explain_clips(matcher: Matcher, clips: Clips, run: Run) -> list[Explanation]:
    """Return for each clip what the matcher says of every word of its text, as it is written.

    Raises `UserError` where the matcher does not keep to the contract.
    """
    given = _given(matcher, clips.unlabelled())
    found = checked_explanations(matcher.explain(given, run), given)
    if matcher.needs_speech:
        silent = without_speech(clips, _own(run))
        found = [_low(one) if no else one for one, no in zip(found, silent, strict=True)]
    return [_as_written(one, text) for one, text in zip(found, clips.texts, strict=True)]


def _given(matcher: Matcher, clips: Clips) -> Clips:
    return clips.only(matcher.further_columns).normalised()


def _own(run: Run) -> Run:
    """Return the run for what the core computes: no feature of the matcher's."""
    return replace(run, feature_seconds=run.feature_seconds.core)


def _low(one: Explanation) -> Explanation:
    """Return what is said of a clip without speech."""
    words = tuple(
        replace(
            word,
            probability=min(word.probability, CEILING),
            phones=tuple(
                replace(phone, probability=min(phone.probability, CEILING), heard="")
                for phone in word.phones
            ),
            heard="",
        )
        for word in one.words
    )
    return replace(one, p_match=min(one.p_match, CEILING), heard="", words=words)


def _as_written(one: Explanation, text: str) -> Explanation:
    written = written_words(text, [word.word for word in one.words])
    words = (replace(word, word=own) for word, own in zip(one.words, written, strict=True))
    return replace(one, text=text, words=tuple(words))


def _checked(p_match: Any, clips: Clips) -> NDArray[np.float64]:
    checked = np.asarray(p_match, dtype=np.float64)
    if checked.shape != (len(clips),):
        raise ValueError(f"predict gave shape {checked.shape} for {len(clips)} clips")
    bad = ~((checked >= 0) & (checked <= 1))
    if bad.any():
        at = int(np.argmax(bad))
        raise ValueError(f"predict gave {checked[at]} for {clips.where(at)}; must be in [0, 1]")
    return checked
