"""Resident memory of a process and of all that it started."""

from __future__ import annotations

import contextlib
import functools
import platform
import re
import threading
import time
from pathlib import Path

import psutil

STATUS = Path("/proc/self/status")
_LOOK, _SHARE = 0.1, 20  # seconds between looks at all memory; these take 1 in 20 at most


@functools.cache
def base_memory_mb() -> float | None:
    """Return resident memory in MiB when this was first asked; None where it is not known."""
    return _of_system("VmRSS") if STATUS.exists() else None


def tree_mb(pid: int | None = None, own: bool = True) -> float:
    """Return the resident memory in MiB of a process, None for this one, and of all it started.

    Pages that two of them share are counted twice. Without `own` the process itself is left out.
    """
    total = 0
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        for one in (*[process] * own, *process.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                total += one.memory_info().rss
    return total / 2**20


class PeakMemory:
    """Follows the peak of resident memory of this process and all it started, in a `with` block.

    The process's own peak is counted by the system, where that allows it (Linux); elsewhere it is
    that of its whole life. All together is looked at some times a second, without what others had
    when the block was entered, as what an earlier block left behind.
    """

    def __init__(self) -> None:
        self._before = 0.0  # what others had
        self._most = 0.0
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="peak-memory", daemon=True)

    @property
    def mb(self) -> float | None:
        """The peak in MiB so far; None where it is not known."""
        own = _of_system("VmHWM") if STATUS.exists() else _of_life()
        return None if own is None else max(own, self._most)

    def __enter__(self) -> PeakMemory:
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")
        self._before = tree_mb(own=False)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()
        self._thread.join()

    def _watch(self) -> None:
        pause = _LOOK
        while not self._left.wait(pause):
            start = time.monotonic()
            self._most = max(self._most, tree_mb() - self._before)
            pause = max(_LOOK, _SHARE * (time.monotonic() - start))


def _of_system(name: str) -> float | None:
    found = re.search(rf"{name}:\s+(\d+) kB", STATUS.read_text())
    return int(found[1]) / 1024 if found else None


def _of_life() -> float | None:
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if platform.system() == "Darwin" else peak / 1024
