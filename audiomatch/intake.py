"""Opens the data and checks every clip before any work starts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audiomatch.audio import SAMPLE_RATE, decode_audio
from audiomatch.clips import Clips
from audiomatch.errors import ClipError, UserError
from audiomatch.files import write_json
from audiomatch.matcher import Run


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
    memory = run.cache / "intake" / f"{_memory_name(paths)}.json"
    known = _recall(memory)
    facts: list[Fact | ClipError] = []
    with (
        run.progress.task("checking clips", total=len(paths)) as task,
        ThreadPoolExecutor(max(1, run.workers)) as pool,
    ):
        try:
            for fact in pool.map(lambda path: _look(path, known), paths):
                facts.append(fact)
                task.advance()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    learnt = dict(fact for fact in facts if not isinstance(fact, ClipError))
    if learnt.keys() - known.keys():
        write_json(memory, {**known, **learnt})
    return facts


def _look(path: Path, known: Mapping[str, float]) -> Fact | ClipError:
    try:
        data = path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        if digest in known:
            return digest, known[digest]
        return digest, decode_audio(data, path.name).size / SAMPLE_RATE
    except FileNotFoundError:
        return ClipError(f"no such audio file: {path}")
    except OSError as error:
        return ClipError(f"cannot read {path}: {error.strerror}")
    except ClipError as error:
        return error


def _memory_name(paths: Iterable[Path]) -> str:
    folders = "\n".join(sorted({str(path.parent) for path in paths}))
    return hashlib.sha256(folders.encode()).hexdigest()[:16]


def _recall(memory: Path) -> dict[str, float]:
    try:
        content = json.loads(memory.read_text(encoding="utf-8"))
        return {digest: float(seconds) for digest, seconds in content.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
