"""Processes that work for this one: what each of them keeps to, for executors and plugins alike.

A process of `CONTEXT` is a fresh interpreter. It imports nothing from the working folder, where a
`random.py` may lie beside the user's data, does not run the caller's script again, leaves Ctrl-C
to the process that started it, and ends with it, however that one ends. A pool of them is
`concurrent.futures.ProcessPoolExecutor(n, mp_context=CONTEXT)`; `each_by_workers` makes its own.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import connection
from multiprocessing.context import SpawnContext, SpawnProcess
from types import ModuleType
from typing import TypeVar

_PR_SET_PDEATHSIG = 1  # prctl(2)
_STARTING = threading.Lock()
FEW = 24  # jobs; starting processes costs more than doing so many here
Job = TypeVar("Job")
Result = TypeVar("Result")


class WorkerProcess(SpawnProcess):
    """A process of `CONTEXT`."""

    def start(self) -> None:
        """Start it as the module says."""
        with _STARTING, _guarded_start():
            super().start()

    def run(self) -> None:
        """Do the work, in the new process."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _end_with_parent()
        super().run()


class WorkerContext(SpawnContext):
    """multiprocessing's `spawn` with processes that keep to what the module says."""

    Process = WorkerProcess


CONTEXT = WorkerContext()


def each_by_workers(
    work: Callable[[Job], Result], jobs: Sequence[Job], workers: int
) -> Generator[Result, None, None]:
    """Yield what `work`, a function of a module, makes of each job, in order.

    Several workers are processes of one thread each; few jobs are done in this process. Where the
    generator is closed, what has not begun is not done.
    """
    if workers < 2 or len(jobs) <= FEW:
        yield from map(work, jobs)
        return
    size = min(16, max(1, len(jobs) // (4 * workers)))
    with ProcessPoolExecutor(workers, CONTEXT, initializer=_take_one_thread) as pool:
        try:
            yield from pool.map(work, jobs, chunksize=size)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _take_one_thread() -> None:
    """Leave the other cores to the other workers."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(limits=1)


@contextmanager
def _guarded_start() -> Iterator[None]:
    """Hide from multiprocessing what a new process is not to take over from this one.

    It copies `sys.path`, and runs again the file of the module `__main__`.
    """
    main, path, safe = sys.modules["__main__"], sys.path, os.environ.get("PYTHONSAFEPATH")
    sys.modules["__main__"], sys.path = ModuleType("__main__"), _import_path()
    os.environ["PYTHONSAFEPATH"] = "1"  # its own first imports, and those of its children
    try:
        yield
    finally:
        sys.modules["__main__"], sys.path = main, path
        if safe is None:
            del os.environ["PYTHONSAFEPATH"]
        else:
            os.environ["PYTHONSAFEPATH"] = safe


def _import_path() -> list[str]:
    """Return `sys.path` without the working folder, but where an install or PYTHONPATH names it.

    What stands before the standard library is there by `python -c`, `-m` or a script.
    """
    here = os.path.realpath(os.curdir)
    named = [os.path.realpath(p) for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p]
    library = os.path.dirname(os.__file__)  # noqa: PTH120 - as it stands in sys.path
    installed = sys.path.index(library) if library in sys.path else len(sys.path)
    return [
        path
        for position, path in enumerate(sys.path)
        if path and (position > installed or here in named or os.path.realpath(path) != here)
    ]


def _end_with_parent() -> None:
    """Have this process killed when its parent is gone."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    if sys.platform == "linux":  # by the kernel, whatever hangs here
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent.pid:
            os._exit(1)
        return

    def watch() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, name="end-with-parent", daemon=True).start()
