"""From the evidence of a clip's phones to the few numbers that a logistic regression takes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audiomatch_phones.evidence import Evidence
from audiomatch_phones.norms import Norms

Vector = NDArray[np.float64]
WORST = 5  # the worst phones are one in so many
KINDS = ("senone", "loop", "posterior")  # what goodness is relative to
CLIP = (
    *(
        f"{kind}_{what}"
        for kind in KINDS
        for what in ("mean", "word_least", "word_two_least", "phone_worst", "phone_least")
    ),
    *("pace", "pace_spread", "pace_off", "pace_word_off"),
    *("left_out", "inside", "phones_to_frames", "path_loop", "path_senone", "phones", "words"),
)
OF_PHONE = (*KINDS, "duration", "left_out", "others")
OF_WORD = (*(f"{kind}_mean" for kind in KINDS), "senone_least", "loop_least", "duration",
           "left_out", "phones", "others")  # fmt: skip


def clip_features(one: Evidence, norms: Norms) -> Vector:
    """Return the numbers named in `CLIP`, zeros where the text has no phones."""
    if not len(one.phone):
        return np.zeros(len(CLIP))
    z, frames = norms.standard(one), one.frames
    words = by_word(one, z)  # (words, 4)
    worst = max(1, len(z) // WORST)
    numbers: list[float] = []
    for kind in range(len(KINDS)):
        own, ranked = np.sort(z[:, kind]), np.sort(words[:, kind])
        numbers += [own.mean(), ranked[0], ranked[:2].mean(), own[:worst].mean(), own[0]]
    pace = z[:, 3]
    numbers += [pace.mean(), pace.std(), np.abs(pace).mean(), np.abs(words[:, 3]).max()]
    numbers += [
        (frames == 0).mean(),
        one.inside,
        np.log(len(z) / max(1.0, frames.sum())),
        *one.path,
    ]
    return np.array([*numbers, np.log(len(z)), np.log(len(words))], np.float64)


def phone_features(one: Evidence, norms: Norms) -> Vector:
    """Return the numbers named in `OF_PHONE` of each phone, (phones, numbers)."""
    z = norms.standard(one)
    return np.column_stack([z, one.frames == 0, _others(z[:, 0], np.arange(len(z)))])


def word_features(one: Evidence, norms: Norms) -> Vector:
    """Return the numbers named in `OF_WORD` of each word that has phones, (words, numbers)."""
    z = norms.standard(one)
    places = np.unique(one.word, return_inverse=True)[1]
    least = np.full((places.max() + 1 if len(places) else 0, 2), np.inf)
    np.minimum.at(least, places, z[:, :2])
    means, count = by_word(one, z), np.bincount(places)
    left_out = by_word(one, (one.frames == 0).astype(np.float64)[:, None])
    others = _others(z[:, 0], places)
    return np.column_stack([means[:, :3], least, means[:, 3], left_out, np.log(count), others])


def by_word(one: Evidence, values: Vector) -> Vector:
    """Return the mean of the rows of each word, (words, columns)."""
    places = np.unique(one.word, return_inverse=True)[1]
    sums = np.zeros((places.max() + 1 if len(places) else 0, values.shape[1]))
    np.add.at(sums, places, values)
    return np.asarray(sums / np.bincount(places)[:, None])


def _others(z: Vector, places: NDArray[np.int64]) -> Vector:
    """Return for each place the mean of the other places' phones; 0 where there are none."""
    count = np.bincount(places)
    own = np.bincount(places, z)
    rest = len(z) - count
    return np.asarray((z.sum() - own) / np.maximum(rest, 1) * (rest > 0))
