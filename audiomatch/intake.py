"""Opens the data and checks every clip before any work starts."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audiomatch.audio import SAMPLE_RATE, decode_audio, read_clip
from audiomatch.cache import ArrayCache
from audiomatch.clips import Clips
from audiomatch.errors import ClipError, UserError
from audiomatch.matcher import Run
from audiomatch.running.identity import computed_by


@dataclass(frozen=True)
class Intake:
    """Clips that can be used, and a line for each that was left out."""

    clips: Clips
    skipped: list[str]


def admit(clips: Clips, run: Run, skip_bad: bool = False, limit: int | None = None) -> Intake:
    """Check every clip; return the usable ones, whose `seconds` and `digests` are known.

    `limit` draws that many clips by the run's seed, in the order of the source. Raises `ClipError`
    naming the first bad clip, unless `skip_bad`. Every file is read and hashed; that it can be
    decoded, and how long it is, is remembered in `run.cache` by its content.
    """
    if limit is not None and limit < len(clips):
        drawn = np.random.default_rng(run.seed).choice(len(clips), limit, replace=False)
        clips = clips.take(np.sort(drawn))
    found = _inspect(clips, run)
    bad = [i for i, fact in enumerate(found) if isinstance(fact, ClipError)]
    lines = [f"{clips.where(i)}: {found[i]}" for i in bad]
    if bad and not skip_bad:
        more = f" ({len(bad) - 1} more like it)" if len(bad) > 1 else ""
        raise ClipError(f"{lines[0]}{more}")
    if len(bad) == len(clips):
        raise UserError(f"{clips.source}: no usable clip is left; the first: {lines[0]}")
    good = [fact for fact in found if not isinstance(fact, ClipError)]
    kept = clips.take(np.asarray([not isinstance(fact, ClipError) for fact in found]))
    seconds, digests = [seconds for _, seconds in good], [digest for digest, _ in good]
    return Intake(kept.with_audio_facts(seconds, digests), lines)


def data_digest(clips: Clips) -> str:
    """Return the SHA-256 of what a matcher sees: the columns but the paths, groups, and audio."""
    columns = clips.frame.drop(columns="audio").to_csv(index=False)
    own = "".join(f"{g}\t{d}\n" for g, d in zip(clips.groups, clips.digests, strict=True))
    return hashlib.sha256(f"{columns}\n{own}".encode()).hexdigest()


Fact = tuple[str, float]


def _inspect(clips: Clips, run: Run) -> list[Fact | ClipError]:
    """Return SHA-256 and seconds of each clip, or why it is bad."""
    paths = clips.paths
    cache = ArrayCache(run, "intake", computed_by(__name__))
    with ThreadPoolExecutor(max(1, run.workers)) as pool:
        digests = list(pool.map(_digest, paths))
        known = cache.get(digest for digest in digests if isinstance(digest, str))
        new = [position for position, digest in enumerate(digests) if digest not in known]
        learnt: dict[str, NDArray[np.float64]] = {}
        facts: list[Fact | ClipError] = [
            digest if isinstance(digest, ClipError) else (digest, float(known.get(digest, 0.0)))
            for digest in digests
        ]
        with run.progress.task("checking clips", total=len(paths)) as task:
            task.advance(len(paths) - len(new))
            try:
                for position, fact in zip(
                    new, pool.map(_decode, (paths[i] for i in new)), strict=True
                ):
                    facts[position] = fact
                    if not isinstance(fact, ClipError):
                        learnt[fact[0]] = np.asarray(fact[1], np.float64)
                    task.advance()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
            finally:
                cache.keep(learnt)
    return facts


def _digest(path: Path) -> str | ClipError:
    try:
        return hashlib.sha256(read_clip(path)).hexdigest()
    except ClipError as error:
        return error


def _decode(path: Path) -> Fact | ClipError:
    try:
        data = read_clip(path)
        seconds = decode_audio(data, path.name).size / SAMPLE_RATE
    except ClipError as error:
        return error
    return hashlib.sha256(data).hexdigest(), seconds
