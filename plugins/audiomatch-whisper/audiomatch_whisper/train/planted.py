"""Answers planted in matches: what people say and do not say, and a corpus has little of.

A corpus of swapped and edited texts does not teach that a text was not said to its end, or that
more was said. Of matches such answers can be made: by cutting the sound, and by changing the text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audiomatch.audio import SAMPLE_RATE, load_clip
from audiomatch.clips import Clips
from audiomatch.negatives import Kind, WrongTexts
from audiomatch_whisper.sound.speech import speech_bounds

KINDS = (Kind.TRUNCATE, Kind.EXTEND, Kind.REPLACE, Kind.TRANSPOSE)
SHARES = (0.4, 0.8)  # of the speech that is left where it breaks off, the least and the most
MOST = 256  # matches


@dataclass(frozen=True)
class Planted:
    """Clips, and answers planted in the matches among them.

    Attributes:
        clips: the clips, then those whose sound is cut, then those of another text.
        own: how many there are of the first.
        cut: how many of the second.
        weight: of all planted answers together, beside that of all own clips.
    """

    clips: Clips
    own: int
    cut: int = 0
    weight: float = 0.0

    @property
    def weights(self) -> NDArray[np.float64]:
        """What each clip counts where a head is fitted, (clips,)."""
        more = len(self.clips) - self.own
        return np.repeat([1.0, self.weight * self.own / max(more, 1)], [self.own, more])

    @property
    def heard(self) -> NDArray[np.float64]:
        """What the own clips and those that are cut count in training, (own + cut,).

        The cut ones count for half of the planted answers; the other half are texts.
        """
        each = self.weight * self.own / 2 / max(self.cut, 1)
        return np.repeat([1.0, each], [self.own, self.cut])


def plant(
    train: Clips, weight: float, seed: int, fits: Callable[[str], bool], most: int = MOST
) -> Planted:
    """Plant answers in at most `most` matches: a cut one, and one of each of `KINDS`.

    Of a text of one word, where breaking off may leave it whole, the sound is not cut. Texts that
    `fits` says no to are left out. Raises `ClipError` with the clip's row.
    """
    matches = np.flatnonzero(train.labels == 1)
    drawn = np.sort(np.random.default_rng(seed).permutation(matches)[:most])
    cut = broken_off(train, drawn, seed)
    clips = Clips.concat([train, cut, misread(train, drawn, seed, fits)])
    return Planted(clips, len(train), len(cut), weight)


def broken_off(train: Clips, rows: NDArray[np.int64], seed: int) -> Clips:
    """Return mismatches whose speech breaks off, of those `rows` whose text has several words."""
    rows = np.array([i for i in rows if len(train.texts[i].split()) > 1], dtype=np.int64)
    starts = np.nan_to_num(train.segments[rows, 0])
    ends = np.empty(len(rows))
    for place, row in enumerate(rows):
        audio = load_clip(train, int(row))
        first, last = speech_bounds(audio)
        share = np.random.default_rng([seed, int(row)]).uniform(*SHARES)
        seconds = min(first + share * (last - first), len(audio) / SAMPLE_RATE)
        ends[place] = starts[place] + seconds
    return _mismatches(train.take(rows), "cut").with_segments(starts, ends)


def misread(train: Clips, rows: NDArray[np.int64], seed: int, fits: Callable[[str], bool]) -> Clips:
    """Return mismatches of those `rows` with a text of each of `KINDS`."""
    maker = WrongTexts(train.texts)
    parts = []
    for kind in KINDS:
        texts = [
            maker.make_kind(kind, train.texts[i], np.random.default_rng([seed, int(i), kind])).text
            for i in rows
        ]
        kept = [place for place, text in enumerate(texts) if fits(text)]
        made = _mismatches(train.take(rows[kept]), kind.name.lower())
        parts.append(made.with_column("expected_text", [texts[place] for place in kept]))
    return Clips.concat(parts)


def _mismatches(clips: Clips, kind: str) -> Clips:
    named = clips.with_column("id", [f"{name}#{kind}" for name in clips.ids])
    return named.with_column("match", np.zeros(len(clips), dtype=np.int8))
