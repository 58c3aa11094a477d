"""Opens the data and checks every clip before any work starts."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audiomatch.audio import SAMPLE_RATE, Recording, recordings, sound_digest
from audiomatch.cache import KEPT_EVERY, ArrayCache
from audiomatch.clips import Clips
from audiomatch.errors import ClipError, UserError
from audiomatch.matcher import Run
from audiomatch.running.identity import computed_by


class LeftOut(NamedTuple):
    """A clip that was left out.

    Attributes:
        id: the clip's.
        where: its place in its source.
        reason: why it cannot be used.
    """

    id: str
    where: str
    reason: str

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}"


@dataclass(frozen=True)
class Intake:
    """Clips that can be used.

    Attributes:
        clips: the clips.
        skipped: those that were left out.
        warnings: a line for each that is used and may not be what was meant.
    """

    clips: Clips
    skipped: list[LeftOut] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def admit(clips: Clips, run: Run, skip_bad: bool = False, limit: int | None = None) -> Intake:
    """Check every clip; return the usable ones, `Clips.admitted`.

    `limit` draws that many clips by the run's seed, in the order of the source. Raises `ClipError`
    naming the first bad clip, unless `skip_bad`. Every file is read and hashed; that it can be
    decoded, and how long it is, is remembered in `run.cache` by its content.
    """
    if limit is not None and limit < len(clips):
        drawn = np.random.default_rng(run.seed).choice(len(clips), limit, replace=False)
        clips = clips.take(np.sort(drawn))
    found = _inspect(clips, run)
    reasons = [str(fact) if isinstance(fact, ClipError) else None for fact in found]
    kept, skipped = leave_out(clips, reasons, skip_bad)
    good = [fact for fact in found if not isinstance(fact, ClipError)]
    warnings = [
        f"{kept.where(i)}: {kept.paths[i].name} {said}"
        for i, fact in enumerate(good)
        for said in fact.warnings
    ]
    facts = [[getattr(fact, name) for fact in good] for name in ("seconds", "digest", "sound")]
    return Intake(kept.with_audio_facts(*facts), skipped, warnings)


def leave_out(
    clips: Clips, reasons: Sequence[str | None], skip_bad: bool
) -> tuple[Clips, list[LeftOut]]:
    """Return the clips that nothing speaks against, and the others.

    Raises `ClipError` naming the first of these, unless `skip_bad`.
    """
    ids = clips.ids
    bad = [LeftOut(ids[i], clips.where(i), why) for i, why in enumerate(reasons) if why]
    if bad and not skip_bad:
        more = f" ({len(bad) - 1} more like it)" if len(bad) > 1 else ""
        raise ClipError(f"{bad[0]}{more}")
    if len(bad) == len(clips):
        raise UserError(f"{clips.source}: no usable clip is left; the first: {bad[0]}")
    return clips.take(np.array([not reason for reason in reasons])), bad


def data_digest(clips: Clips) -> str:
    """Return the SHA-256 of what a matcher may see: the columns but the paths, groups, and audio.

    It does not depend on the order of rows and columns.
    """
    clips = clips.take(np.argsort(np.array(clips.ids, dtype=object)))
    digest = hashlib.sha256()
    digest.update(clips.frame.drop(columns="audio").sort_index(axis=1).to_csv(index=False).encode())
    own = map("\t".join, zip(clips.groups, clips.digests, strict=True))
    digest.update("\n".join(["", *own, ""]).encode())
    return digest.hexdigest()


class Fact(NamedTuple):
    """What intake finds out of a clip, named as in `Clips` and `Intake`."""

    digest: str
    seconds: float
    sound: str
    warnings: list[str]

    def packed(self) -> NDArray[np.uint8]:
        """Return it as the array cache keeps it."""
        return np.frombuffer(json.dumps(self).encode(), np.uint8)

    @classmethod
    def unpacked(cls, kept: NDArray[np.uint8]) -> Fact:
        """Return what `packed` was made of."""
        return cls(*json.loads(kept.tobytes()))


def _inspect(clips: Clips, run: Run) -> list[Fact | ClipError]:
    """Return what each clip is, or why it is bad."""
    cache = ArrayCache(run, "intake", computed_by(__name__))
    with ThreadPoolExecutor(max(1, run.workers)) as pool:
        sources = list(pool.map(_with_digest, recordings(clips)))
        kept = cache.get(one.digest for one in sources if isinstance(one, Recording))
        facts: dict[str, Fact | ClipError] = {k: Fact.unpacked(a) for k, a in kept.items()}
        new = {s.digest: s for s in sources if isinstance(s, Recording) and s.digest not in kept}
        learnt: dict[str, NDArray[np.uint8]] = {}
        with run.progress.task("checking clips", total=len(clips)) as task:
            task.advance(len(clips) - len(new))
            since = time.monotonic()
            try:
                for digest, fact in zip(new, pool.map(_decode, new.values()), strict=True):
                    facts[digest] = fact
                    if isinstance(fact, Fact):
                        learnt[digest] = fact.packed()
                    if time.monotonic() - since >= KEPT_EVERY:
                        cache.keep(learnt)
                        learnt, since = {}, time.monotonic()
                    task.advance()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
            finally:
                cache.keep(learnt)
    return [one if isinstance(one, ClipError) else facts[one.digest] for one in sources]


def _with_digest(recording: Recording) -> Recording | ClipError:
    try:
        return recording._replace(digest=recording.digest_now())
    except ClipError as error:
        return error


def _decode(recording: Recording) -> Fact | ClipError:
    try:
        samples, warnings = recording.decode()
    except ClipError as error:
        return error
    return Fact(recording.digest, samples.size / SAMPLE_RATE, sound_digest(samples), warnings)
