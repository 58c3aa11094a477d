"""What the acoustic model says of each phone of a text: the goodness of its pronunciation.

Witt and Young (2000) score a phone by its log likelihood where it was aligned, less that of what
fits best there, a frame. Here that is the best senone of each frame; the best path of any phones;
and all phones together (its posterior).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from audiomatch.audio import Recording, recordings
from audiomatch.cache import ArrayCache
from audiomatch.clips import Clips
from audiomatch.errors import ClipError
from audiomatch.level import frame_power, without_clicks
from audiomatch.matcher import Run
from audiomatch.running.identity import computed_by, digest_of
from audiomatch.workers import each_by_workers
from audiomatch_phones.acoustics import Acoustics, Heard, acoustics
from audiomatch_phones.alignment import Alignment, Words, align
from audiomatch_phones.front_end import HOP, SECONDS
from audiomatch_phones.loop import phone_loop
from audiomatch_phones.model_files import STATES, model_digest

PHONES = (
    *("AA", "AE", "AH", "AO", "AW", "AY", "B", "CH", "D", "DH", "EH", "ER", "EY", "F", "G", "HH"),
    *("IH", "IY", "JH", "K", "L", "M", "N", "NG", "OW", "OY", "P", "R", "S", "SH", "T", "TH"),
    *("UH", "UW", "V", "W", "Y", "Z", "ZH"),
)
FLOOR = -25.0  # nats a frame: no phone is said worse than that
QUIET = 1e-4  # of the power of the loudest frame, 40 dB under it: what is softer is silence
MARGIN = 25  # frames of it that are kept at either end
LEFT_OUT = -12.0  # of a phone whose word was left out
Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Evidence:
    """What is known of a clip and its text.

    Attributes:
        word: of each phone the place of its word, (phones,).
        phone: its number in `PHONES`, (phones,).
        span: its first frame and the one after its last, (phones, 2); equal where it was left out.
        goodness: its log likelihood a frame, relative to the best senone, to the free phones, and
            to all phones together, (phones, 3).
        heard: of each frame the number in `PHONES` of what the free phones are; -1 for none.
        inside: share of the frames of speech, by the text or by the free phones, that belong to
            phones of the text.
        path: log likelihood a frame of speech on the whole path, relative to the free phones and
            to the best senone, (2,).
    """

    word: NDArray[np.int64]
    phone: NDArray[np.int64]
    span: NDArray[np.int64]
    goodness: Vector
    heard: NDArray[np.int64]
    inside: float
    path: Vector

    @property
    def frames(self) -> Vector:
        """How many frames each phone has, (phones,)."""
        return np.asarray(self.span[:, 1] - self.span[:, 0], np.float64)

    def heard_in(self, start: int, end: int) -> list[str]:
        """Return the free phones between two frames; one that only ends or begins there is none."""
        runs = [(key, len(list(same))) for key, same in groupby(self.heard[start:end].tolist())]
        return [PHONES[key] for key, count in runs if key >= 0 and count >= 2]

    def after(self, frames: int) -> Evidence:
        """Return it as of a clip in which so many frames more come first."""
        heard = np.pad(self.heard, (frames, 0), constant_values=-1)
        return replace(self, span=self.span + frames, heard=heard)

    def seconds(self, i: int) -> tuple[float, float]:
        """Return when a phone begins and ends."""
        start, end = self.span[i]
        return float(start * SECONDS), float(end * SECONDS)

    def to_array(self) -> NDArray[np.float32]:
        """Return what `from_array` takes, (rows, 7)."""
        sizes = [len(self.phone), len(self.heard), self.inside, *self.path, 0, 0]
        rows = np.column_stack([self.word, self.phone, self.span, self.goodness])
        heard = np.pad(self.heard, (0, -len(self.heard) % 7)).reshape(-1, 7)
        return np.vstack([sizes, rows, heard]).astype(np.float32)

    @classmethod
    def from_array(cls, array: NDArray[np.float32]) -> Evidence:
        """Return what `to_array` was asked of."""
        head = array[0].astype(np.float64)
        phones, frames = int(head[0]), int(head[1])
        rows, heard = array[1 : 1 + phones], array[1 + phones :].reshape(-1)[:frames]
        word, phone, start, end = rows[:, :4].astype(np.int64).T
        return cls(
            word,
            phone,
            np.column_stack([start, end]),
            rows[:, 4:].astype(np.float64),
            heard.astype(np.int64),
            float(head[2]),
            head[3:5],
        )


def evidence(
    clips: Clips, texts: Sequence[Words], run: Run, owner: Sequence[int] | None = None
) -> list[Evidence]:
    """Return what is known of clips and the words that they should say, in the order of the texts.

    What is not in `run.cache` is computed by `run.workers` processes and kept there. Raises
    `ClipError` that names a clip that cannot be used.

    Args:
        clips: the clips.
        texts: words with their pronunciations.
        run: where and how to compute.
        owner: the place of the clip of each text; else every clip has one.
    """
    owner = range(len(clips)) if owner is None else owner
    digests, sources = clips.digests, recordings(clips)
    order = sorted(range(len(texts)), key=lambda i: digests[owner[i]])  # equal audio is heard once

    def compute(missing: list[int]) -> Iterator[NDArray[np.float32]]:
        together = [
            list(own)
            for _, own in groupby((order[i] for i in missing), key=lambda i: digests[owner[i]])
        ]
        jobs = [
            (
                sources[owner[own[0]]]._replace(digest=digests[owner[own[0]]]),
                [texts[i] for i in own],
            )
            for own in together
        ]
        with (
            run.progress.task("phones", total=len(jobs)) as task,
            threadpool_limits(limits=1),  # the matrices are small: threads would wait, not work
            closing(each_by_workers(_measure, jobs, run.workers)) as results,
        ):
            for own, found in zip(together, results, strict=True):
                if isinstance(found, str):
                    raise ClipError(f"{clips.where(owner[own[0]])}: {found}")
                yield from found
                task.advance()

    version = {"code": computed_by(__name__), "model": model_digest()}
    keys = [digest_of([digests[owner[i]], texts[i]]) for i in order]
    arrays = ArrayCache(run, "phones", version).fill(keys, compute)
    by_text = dict(zip(order, arrays, strict=True))
    return [Evidence.from_array(by_text[i]) for i in range(len(texts))]


Job = tuple[Recording, list[Words]]
Result = list[NDArray[np.float32]] | str


def _measure(job: Job) -> Result:
    """Measure one recording against its texts; one that cannot be used gives the reason."""
    recording, texts = job
    try:
        samples = recording.load()
    except ClipError as error:
        return str(error)
    return [one.to_array() for one in measure(samples, texts)]


def measure(samples: NDArray[np.float32], texts: Sequence[Words]) -> list[Evidence]:
    """Return what is known of a clip at 16 kHz and each of several texts."""
    samples = without_clicks(samples)
    model, loud = acoustics(), loud_frames(samples)
    places = np.flatnonzero(loud)
    start = max(0, int(places[0]) - MARGIN) if len(places) else 0
    end = int(places[-1]) + 1 + MARGIN if len(places) else len(loud)
    heard = model.score(samples[start * HOP : end * HOP])
    free = phone_loop(heard, model)
    loud = loud[start : start + len(heard.best)]
    return [_evidence(heard, model, free, loud, words).after(start) for words in texts]


def loud_frames(samples: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return which frames are less than 40 dB under the loudest, (frames,).

    Silence around an answer says nothing of it, and features are relative to the whole clip.
    """
    power = frame_power(samples - samples.mean(dtype=np.float64), HOP)
    return np.asarray(power > QUIET * power.max(initial=0))


def _evidence(
    heard: Heard,
    model: Acoustics,
    free: tuple[NDArray[np.float32], NDArray[np.int64]],
    loud: NDArray[np.bool_],
    words: Words,
) -> Evidence:
    found = align(heard, model, [ways for ways in words if ways])
    loop, of_loop = free
    number = {name: i for i, name in enumerate(PHONES)}
    names = np.array([number.get(name, -1) for name in model.parameters.definitions.phones])
    spoken = found.inside | (loud & (names[of_loop] >= 0))  # (frames,)
    best = np.column_stack([loop, heard.best]).astype(np.float64)  # (frames, 2)
    named = [i for i, ways in enumerate(words) if ways]
    spans = np.array([(one.start, one.end) for one in found.phones], np.int64).reshape(-1, 2)
    return Evidence(
        np.array([named[one.word] for one in found.phones], np.int64),
        np.array([number[one.phone] for one in found.phones], np.int64),
        spans,
        _goodness(heard, model, found, loop),
        names[of_loop],
        float(found.inside.sum() / max(1, spoken.sum())),
        (found.states[:, None] - best)[spoken if spoken.any() else ...].mean(axis=0),
    )


def _goodness(
    heard: Heard, model: Acoustics, found: Alignment, loop: NDArray[np.float32]
) -> Vector:
    """Return the three scores of each phone, (phones, 3)."""
    units = heard.units.reshape(len(loop), -1, STATES).max(axis=2)  # (frames, phones)
    together = np.logaddexp.reduce(units, axis=1)
    scores = np.full((len(found.phones), 3), LEFT_OUT)
    for row, one in zip(scores, found.phones, strict=True):
        if one.end > one.start:
            own = slice(one.start, one.end)
            row[0] = (found.states[own] - heard.best[own]).mean()
            row[1] = (found.states[own] - loop[own]).mean()
            row[2] = (units[own, model.number[one.phone]] - together[own]).mean()
    return np.asarray(np.maximum(scores, FLOOR))
