"""What the files of clips are like from outside: size, format, sample rate, name, folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import soundfile

from audiomatch.clips import Clips


class FileFacts(NamedTuple):
    """What is known of a file without decoding it.

    Attributes:
        size: in bytes; NaN where the file cannot be read.
        format: container, coding and channels, by libsndfile; of others the ending.
        rate: samples a second; NaN where libsndfile does not know the file.
    """

    size: float
    format: str
    rate: float


def file_facts(clips: Clips) -> list[FileFacts]:
    """Return the facts of each clip's file; each file is looked at once."""
    known = {path: _facts(path) for path in dict.fromkeys(clips.paths)}
    return [known[path] for path in clips.paths]


def _facts(path: Path) -> FileFacts:
    try:
        size = float(path.stat().st_size)
    except OSError:
        return FileFacts(float("nan"), "", float("nan"))
    try:
        info = soundfile.info(path)
    except (soundfile.SoundFileError, OSError):
        return FileFacts(size, path.suffix.lower(), float("nan"))
    return FileFacts(size, f"{info.format} {info.subtype} {info.channels}", info.samplerate)


def folders(paths: Sequence[Path]) -> list[str]:
    """Return the folder of each file, without what all of them share."""
    parents = [path.parent.parts for path in paths]
    shared = 0
    for parts in zip(*parents, strict=False):
        if len(set(parts)) > 1:
            break
        shared += 1
    return ["/".join(parts[shared:]) for parts in parents]
