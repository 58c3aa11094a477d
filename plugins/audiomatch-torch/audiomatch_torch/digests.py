"""Digests of files' contents."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path


def digest_of(files: Sequence[Path], folder: Path | None = None) -> str:
    """SHA-256 over the files' names and contents, in order; empty for none.

    Names are those within `folder`, or the last part alone. A file is read again where its size,
    its times, or what it is on the disk changed.
    """
    if not files:
        return ""
    whole = hashlib.sha256()
    for file in files:
        inside = folder is not None and file.is_relative_to(folder)
        name = file.relative_to(folder).as_posix() if folder and inside else file.name
        facts = file.stat()
        state = (facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino, facts.st_dev)
        whole.update(name.encode() + b"\0" + _sha256(str(file.resolve()), state))
    return whole.hexdigest()


@cache
def _sha256(path: str, state: tuple[int, ...]) -> bytes:  # noqa: ARG001 - what the memory goes by
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
