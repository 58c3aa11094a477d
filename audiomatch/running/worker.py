"""What a worker of the `process` executor does: calls that it reads, answers that it writes."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import pickle
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from audiomatch.errors import RenamedWarning, cause_of
from audiomatch.progress import QuietProgress

Send = Callable[[bytes], None]
Tell = Callable[..., None]
_EVERY = 0.1  # seconds between two messages of one task
_NAMES = itertools.count()  # of tasks, each of its own in all calls


def serve(pipe: Connection) -> None:
    """Do what the other end of `pipe` asks, one call after another, until it is closed."""
    _settle()
    own, send = os.getpid(), _sender(pipe)
    with contextlib.suppress(EOFError, KeyboardInterrupt):
        while True:
            answer = _answer(pipe.recv_bytes(), RelayedProgress(send))
            if os.getpid() != own:  # a fork that a matcher made, and that came back from its call
                os._exit(0)
            send(answer)


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
    try:
        fn, args = pickle.loads(asked)  # noqa: S301 - written by the parent
        answer = fn(*(progress if isinstance(arg, QuietProgress) else arg for arg in args))
        return pickle.dumps(("returned", answer))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - raised again in the parent
        return pickle.dumps(("raised", _sendable(error)))


def _sendable(error: BaseException) -> Exception:
    """Return an error that the parent can read and that does not end it."""
    with contextlib.suppress(Exception):  # a stranger's error may refuse to be pickled in any way
        pickle.loads(pickle.dumps(error))  # noqa: S301 - as the parent will
        if isinstance(error, Exception):
            return error
    return RuntimeError(cause_of(error))


class _RelayedTask:
    def __init__(self, tell: Tell, name: int) -> None:
        self._tell, self._name = tell, name
        self._pending, self._last = 0.0, time.monotonic()

    def advance(self, amount: float = 1) -> None:
        self._pending += float(amount)
        now = time.monotonic()
        if now - self._last >= _EVERY:
            self._tell("advance", self._name, self._pending)
            self._pending, self._last = 0.0, now


class RelayedProgress:
    """Shows tasks in the parent."""

    def __init__(self, send: Send) -> None:
        self._send = send

    def __reduce__(self) -> tuple[type[QuietProgress], tuple[()]]:
        """Be quiet where it is sent to another process."""
        return QuietProgress, ()

    @contextmanager
    def task(self, description: str, total: float, unit: str = "clips") -> Iterator[_RelayedTask]:
        """Open a task in the parent."""
        name = next(_NAMES)
        self._tell("open", name, str(description), float(total), str(unit))
        try:
            yield _RelayedTask(self._tell, name)
        finally:
            self._tell("close", name)

    def say(self, line: str) -> None:
        """Show one line that stays."""
        self._tell("say", str(line))

    def _tell(self, *message: Any) -> None:
        self._send(pickle.dumps(message))
