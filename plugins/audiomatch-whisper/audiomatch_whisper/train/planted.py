"""Answers planted in matches: what people say and do not say, and a corpus has little of.

A corpus of swapped and edited texts does not teach that a text was not said to its end, or that
more was said. Of matches such answers can be made: by cutting the sound, by another answer before
or after it, and by changing the text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from audiomatch.audio import SAMPLE_RATE, load_clip
from audiomatch.clips import Clips
from audiomatch.errors import UserError
from audiomatch.matcher import Run
from audiomatch.negatives import Kind, WrongTexts
from audiomatch_whisper.sound.speech import speech_bounds

WORDS = (Kind.EXTEND, Kind.REPLACE, Kind.TRANSPOSE)  # changes that leave a text unsaid
FEWER = (Kind.TRUNCATE, Kind.DELETE)  # that leave it said, and more
BESIDE = ("sentence-before", "sentence-after")  # probes
SHARES = (0.4, 0.8)  # of the speech that is left where it breaks off, the least and the most
MOST = 100  # matches


def plant(train: Clips, run: Run, fits: Callable[[str], bool], *, exact: bool) -> Clips | None:
    """Plant answers in at most `MOST` matches, one of each kind; None where none can be.

    Of a text of one word, where breaking off may leave it whole, the sound is not cut. Texts that
    `fits` says no to are left out, and without `exact` answers that say more than their text.
    What is drawn is mostly the same for training parts that share most of their clips, as folds do,
    so that the evidence of it is kept for others. Raises `ClipError` with the clip's row.
    """
    drawn = train.draw(np.flatnonzero(train.labels == 1), MOST, run.seed)
    parts = [broken_off(train, drawn, run.seed)]
    parts += misread(train, drawn, run.seed, fits, (*WORDS, *FEWER) if exact else WORDS)
    if exact:
        parts += beside(train.take(drawn), run)
    parts = [part for part in parts if len(part)]
    return Clips.concat(parts) if parts else None


def broken_off(train: Clips, rows: NDArray[np.int64], seed: int) -> Clips:
    """Return mismatches whose speech breaks off, of those `rows` whose text has several words."""
    rows = np.array([i for i in rows if len(train.texts[i].split()) > 1], dtype=np.int64)
    starts = np.nan_to_num(train.segments[rows, 0])
    ends, seeds = np.empty(len(rows)), train.seeds(seed)
    for place, row in enumerate(rows):
        audio = load_clip(train, int(row))
        first, last = speech_bounds(audio)
        share = np.random.default_rng(seeds[row]).uniform(*SHARES)
        seconds = min(first + share * (last - first), len(audio) / SAMPLE_RATE)
        ends[place] = starts[place] + seconds
    return _mismatches(train.take(rows), "cut").with_segments(starts, ends)


def misread(
    train: Clips,
    rows: NDArray[np.int64],
    seed: int,
    fits: Callable[[str], bool],
    kinds: tuple[Kind, ...],
) -> Iterator[Clips]:
    """Give mismatches of those `rows` with a text of each of `kinds`."""
    maker, seeds = WrongTexts(train.texts), train.seeds(seed)
    for kind in kinds:
        texts = [
            maker.make_kind(kind, train.texts[i], np.random.default_rng([seeds[i], kind])).text
            for i in rows
        ]
        kept = [place for place, text in enumerate(texts) if fits(text)]
        made = _mismatches(train.take(rows[kept]), kind.name.lower())
        yield made.with_column("expected_text", [texts[place] for place in kept])


def beside(matches: Clips, run: Run) -> list[Clips]:
    """Return mismatches with another match's answer before or after their own."""
    from audiomatch.probing import planting  # imports scipy.stats, which predicting does not need
    from audiomatch.probing.prober import chosen

    try:
        planted = planting.plant(matches, chosen(BESIDE), MOST, run)
    except UserError:  # no other match says something else
        return []
    made = planted.clips.with_column("match", np.zeros(len(planted.rows), dtype=np.int8))
    return [made.with_column("id", [name.replace("/", "#") for name in made.ids])]


def _mismatches(clips: Clips, kind: str) -> Clips:
    named = clips.with_column("id", [f"{name}#{kind}" for name in clips.ids])
    return named.with_column("match", np.zeros(len(clips), dtype=np.int8))
