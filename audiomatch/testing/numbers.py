"""Checks of the numbers that a matcher predicts."""

from __future__ import annotations

import numpy as np

from audiomatch.clips import Clips
from audiomatch.offers import Offer
from audiomatch.scoring.metrics import log_loss
from audiomatch.testing.corpus import TEXTS
from audiomatch.testing.registry import check
from audiomatch.testing.results import Failed
from audiomatch.testing.subject import Subject, require_equal

WELL_UNDER = 0.8  # of the base rate's log loss
MOVED = 1e-3


@check("probabilities", "predictions are finite numbers in [0, 1], one a clip")
def probabilities(subject: Subject) -> str:
    """Look at the held-out predictions."""
    p_match = subject.predicted
    return f"{len(p_match)} clips, from {p_match.min():.3g} to {p_match.max():.3g}"


@check("predict-twice", "predicting again gives the same numbers")
def predict_twice(subject: Subject) -> str:
    """Find dropout left on, random crops, and state that predictions leave behind."""
    clips = subject.toy.held_out
    again = subject.predict(subject.fitted, clips)
    return require_equal(again, subject.predicted, subject.same, clips, "predicting again")


@check("row-order", "the order of the clips doesn't matter")
def row_order(subject: Subject) -> str:
    """Predict the held-out part backwards, and shuffled."""
    clips = subject.toy.held_out
    shuffled = np.random.default_rng(1).permutation(len(clips))
    measured = ""
    for rows in (np.arange(len(clips))[::-1], shuffled):
        found = subject.predict(subject.fitted, clips.take(rows))
        wanted = subject.predicted[rows]
        measured = require_equal(
            found, wanted, subject.noise, clips.take(rows), "another order of the clips"
        )
    return measured


@check("batch-mates", "a clip's prediction does not depend on the others of the call")
def batch_mates(subject: Subject) -> str:
    """Predict part of the held-out clips, beside a much longer one."""
    clips = subject.toy.held_out
    rows = np.arange(0, len(clips), 3)
    long = subject.edges["long"].unlabelled()
    mixed = Clips.concat([clips.take(rows), long])
    found = subject.predict(subject.fitted, mixed)[:-1]
    wanted = subject.predicted[rows]
    return require_equal(found, wanted, subject.noise, clips.take(rows), "other batch mates")


@check("one-clip", "one clip alone works, and gives what it gives among others")
def one_clip(subject: Subject) -> str:
    """Predict the first and the last held-out clip, each alone."""
    clips = subject.toy.held_out
    measured = ""
    for row in (0, len(clips) - 1):
        alone = clips.take([row])
        found = subject.predict(subject.fitted, alone)
        wanted = subject.predicted[[row]]
        measured = require_equal(found, wanted, subject.noise, alone, "predicting it alone")
    return measured


def _ignores_audio(offer: Offer) -> str:
    says = "it says that it ignores the audio; the toy corpus cannot be learned without"
    return says if "audio" in offer.info.ignores else ""


@check("learns", "learns the toy task: log loss well under the base rate's", _ignores_audio)
def learns(subject: Subject) -> str:
    """Score the held-out part of the toy corpus, its texts known and its voices new."""
    y = subject.toy.labels.astype(np.float64)
    rate = float(subject.toy.train.labels.mean())
    loss = log_loss(y, subject.predicted) or 0.0
    floor = log_loss(y, np.full(len(y), rate)) or 0.0
    measured = f"log loss {loss:.3f}, base rate {floor:.3f}"
    if loss > WELL_UNDER * floor:
        raise Failed(f"{measured}; at most {WELL_UNDER * floor:.3f} would do")
    return measured


@check("text-matters", "swapping the expected texts moves the predictions")
def text_matters(subject: Subject) -> str:
    """Give each held-out clip another text of very different length."""
    clips = subject.toy.held_out
    other = dict(zip(TEXTS, TEXTS[2:] + TEXTS[:2], strict=True))
    swapped = clips.with_column("expected_text", [other[text] for text in clips.texts])
    found = subject.predict(subject.fitted, swapped)
    most = float(np.abs(found - subject.predicted).max())
    if "text" in subject.info.ignores:
        if most > subject.same:
            raise Failed(f"it says that it ignores the text, but the text moves it by {most:.2g}")
        return "it says that it ignores the text, and it does"
    if most < MOVED:
        raise Failed(f"swapped texts move no prediction by {MOVED:g} (the most: {most:.2g})")
    return f"moved by up to {most:.2f}"


def _edge(subject: Subject, name: str) -> str:
    p_match = subject.predict(subject.fitted, subject.edges[name])
    return f"gives {p_match[0]:.3f}"


@check("clip-of-0.1-s", "predicts a clip of 0.1 s")
def short(subject: Subject) -> str:
    """Predict it alone."""
    return _edge(subject, "short")


@check("clip-of-29.9-s", "predicts a clip of 29.9 s")
def long(subject: Subject) -> str:
    """Predict it alone."""
    return _edge(subject, "long")


@check("silence", "predicts a clip of digital silence")
def silence(subject: Subject) -> str:
    """Predict it alone."""
    return _edge(subject, "silence")


@check("clipping", "predicts a clip that is clipped")
def clipping(subject: Subject) -> str:
    """Predict it alone."""
    return _edge(subject, "clipping")


@check("non-ascii", "predicts a clip whose text is not ASCII")
def non_ascii(subject: Subject) -> str:
    """Predict it alone."""
    return _edge(subject, "non-ascii")
