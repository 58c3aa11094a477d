"""What a worker of the `process` executor does: calls that it reads, answers that it writes."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

from audiomatch.errors import RenamedWarning
from audiomatch.progress import QuietProgress
from audiomatch.running.relay import RelayedProgress, Send, answer


def serve(pipe: Connection, threads: int | None = None) -> None:
    """Do what the other end of `pipe` asks, one call after another, until it is closed.

    `threads` is for libraries that take a thread a core unless told otherwise.
    """
    _settle()
    if threads is not None:  # OpenMP, OpenBLAS and MKL read it when they are loaded
        os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    own, send = os.getpid(), _sender(pipe)
    with contextlib.suppress(EOFError, KeyboardInterrupt, ConnectionError), _telling_kept(send):
        while True:
            said = _answer(pipe.recv_bytes(), RelayedProgress(send))
            if os.getpid() != own:  # a fork that a matcher made, and that came back from its call
                os._exit(0)
            send(said)


@contextlib.contextmanager
def _telling_kept(send: Send) -> Iterator[None]:
    """Send what an interrupt's notes say is kept of the call at hand."""
    try:
        yield
    except KeyboardInterrupt as error:
        send(pickle.dumps(("stopped", getattr(error, "__notes__", []))))
        raise


def _settle() -> None:
    """Stand alone: a session of its own, nothing to read, and no way to the parent's stdout."""
    if hasattr(os, "setsid"):
        os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    try:
        os.dup2(2, 1)
    except OSError:  # stderr is closed
        os.dup2(nothing, 1)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # so that nothing is lost with the process
    signal.signal(signal.SIGTERM, _interrupt)
    warnings.simplefilter("ignore", RenamedWarning)  # the parent has told


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _sender(pipe: Connection) -> Send:
    """Return what sends from any thread of this process, and from no fork of it."""
    own, lock = os.getpid(), threading.Lock()

    def send(message: bytes) -> None:
        if os.getpid() == own:
            with lock:
                pipe.send_bytes(message)

    return send


def _answer(asked: bytes, progress: RelayedProgress) -> bytes:
    """Call what is asked, with `progress` in the place of a `QuietProgress`."""

    def call() -> Any:
        fn, args = pickle.loads(asked)  # noqa: S301 - written by the parent
        return fn(*(progress if isinstance(arg, QuietProgress) else arg for arg in args))

    return answer(call)
