"""Locks that end with the process that holds them: what was killed blocks nobody."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

if sys.platform != "win32":
    import fcntl


@contextmanager
def held(path: Path, *, shared: bool = False) -> Iterator[bool]:
    """Hold a file or folder for the block; give False where another process holds it.

    Several may hold it `shared`. Where the system or the file system has no such locks (Windows,
    some network drives) it is held by all who ask.
    """
    if sys.platform == "win32":
        yield True
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        except OSError:
            pass
        yield True
    finally:
        os.close(handle)
