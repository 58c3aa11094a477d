"""A call that runs in another process: its progress and its answer told there, and heard here."""

from __future__ import annotations

import contextlib
import itertools
import pickle
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from audiomatch.errors import cause_of
from audiomatch.progress import Progress, QuietProgress, Task

Send = Callable[[bytes], None]
Tell = Callable[..., None]
_EVERY = 0.1  # seconds between two messages of one task
_NAMES = itertools.count()  # of tasks, each of its own in all calls


def answer(call: Callable[[], Any]) -> bytes:
    """Return the message of what a call gives, or of what it raises; an interrupt goes through."""
    try:
        return pickle.dumps(("returned", call()))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - raised again where the answer is heard
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

    def advance(self, amount: float = 1, note: str = "") -> None:
        self._pending += float(amount)
        now = time.monotonic()
        if now - self._last >= _EVERY:
            self._tell("advance", self._name, self._pending, str(note))
            self._pending, self._last = 0.0, now


class RelayedProgress:
    """Shows tasks in the parent, by messages that `RelayedTasks` hears."""

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


class RelayedTasks:
    """The tasks of one call that are open, shown here."""

    def __init__(self, shown: Progress, name: str = "") -> None:
        """Take where to show them, and a name that stands before each where calls overlap."""
        self._shown, self._name = shown, name
        self._open: dict[int, tuple[AbstractContextManager[Task], Task]] = {}

    def hear(self, kind: str, *facts: Any) -> None:
        """Show what a `RelayedProgress` tells; what is left of an earlier call is not."""
        if kind == "say":
            self._shown.say(f"{self._name}: {facts[0]}" if self._name else facts[0])
            return
        name, *of_task = facts
        if kind == "open":
            description, *size = of_task
            whole = f"{self._name} ▸ {description}" if self._name else description
            shown = self._shown.task(whole, *size)
            self._open[name] = shown, shown.__enter__()
        elif name in self._open and kind == "advance":
            self._open[name][1].advance(*of_task)
        elif name in self._open:
            self._open.pop(name)[0].__exit__(None, None, None)

    def close(self) -> None:
        """Close what the worker has not."""
        for shown, _ in reversed(self._open.values()):
            shown.__exit__(None, None, None)
