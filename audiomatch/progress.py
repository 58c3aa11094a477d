"""Progress of long work: clips per second and time left."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, TextIO, runtime_checkable

from audiomatch.errors import printable


class Task(Protocol):
    """A piece of long work under way."""

    def advance(self, amount: float = 1, note: str = "") -> None:
        """Say that `amount` more units are done, and with `note` how it goes."""


@runtime_checkable
class Progress(Protocol):
    """Shows tasks; `with progress.task("train", total=len(clips)) as task: task.advance(8)`."""

    def task(
        self, description: str, total: float, unit: str = "clips"
    ) -> AbstractContextManager[Task]:
        """Open a task of `total` units."""

    def say(self, line: str) -> None:
        """Show one line that stays."""


class _Silent:
    def advance(self, amount: float = 1, note: str = "") -> None:
        pass


class QuietProgress:
    """Shows nothing."""

    @contextmanager
    def task(  # the parameters are the protocol's
        self,
        description: str,  # noqa: ARG002
        total: float,  # noqa: ARG002
        unit: str = "clips",  # noqa: ARG002
    ) -> Iterator[Task]:
        """Open a task that shows nothing."""
        yield _Silent()

    def say(self, line: str) -> None:
        """Show nothing."""


class _LineTask:
    def __init__(self, stream: TextIO, label: str, total: float, unit: str, every: float) -> None:
        self.stream, self.label, self.total, self.unit = stream, label, total, unit
        self.every = every
        self.done = 0.0
        self.start = self.last = time.monotonic()

    def advance(self, amount: float = 1, note: str = "") -> None:
        self.done += amount
        now = time.monotonic()
        if now - self.last >= self.every and self.done < self.total:
            self.last = now
            rate = self.done / max(now - self.start, 1e-9)
            left = (self.total - self.done) / max(rate, 1e-9)
            line = (
                f"{self.label}: {self.done:.0f}/{self.total:.0f} {self.unit}, "
                f"{rate:.1f} {self.unit}/s, {left:.0f} s left"
            )
            print(printable(line + f", {note}" * bool(note)), file=self.stream, flush=True)


class _Prefix(threading.local):
    """The open tasks of a thread, the outermost first."""

    def __init__(self) -> None:
        self.names: list[str] = []


class LineProgress:
    """Plain lines on stderr, for logs and terminals that cannot redraw."""

    def __init__(self, stream: TextIO | None = None, every: float = 5.0) -> None:
        self.stream = stream or sys.stderr
        self.every = every
        self._prefix = _Prefix()

    def __reduce__(self) -> tuple[type[QuietProgress], tuple[()]]:
        """Be quiet where it is sent to another process."""
        return QuietProgress, ()

    @contextmanager
    def task(self, description: str, total: float, unit: str = "clips") -> Iterator[Task]:
        """Open a task that prints a line every few seconds."""
        self._prefix.names.append(description)
        try:
            yield _LineTask(self.stream, " ▸ ".join(self._prefix.names), total, unit, self.every)
        finally:
            self._prefix.names.pop()

    def say(self, line: str) -> None:
        """Print the line."""
        print(printable(line), file=self.stream, flush=True)


class BarProgress:
    """Bars of rich, one a task, with rate and time left."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )
        from rich.progress import Progress as Bars

        self.bars = Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}", markup=False),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._open, self._lock = 0, threading.Lock()
        self._prefix = _Prefix()

    def __reduce__(self) -> tuple[type[QuietProgress], tuple[()]]:
        """Be quiet where it is sent to another process."""
        return QuietProgress, ()

    @contextmanager
    def task(self, description: str, total: float, unit: str = "clips") -> Iterator[Task]:
        """Open a task with a bar of its own."""
        self._show(1)
        indent = "  " * len(self._prefix.names)
        self._prefix.names.append(description)
        handle = self.bars.add_task(indent + printable(description), total=total, rate="")
        bars, start = self.bars, time.monotonic()

        class _Bar:
            done = 0.0

            def advance(self, amount: float = 1, note: str = "") -> None:
                self.done += amount
                rate = self.done / max(time.monotonic() - start, 1e-9)
                shown = f"{rate:.1f} {unit}/s" + f", {note}" * bool(note)
                bars.update(handle, advance=amount, rate=printable(shown))

        try:
            yield _Bar()
        finally:
            self.bars.remove_task(handle)
            self._prefix.names.pop()
            self._show(-1)

    def _show(self, more: int) -> None:
        """Start the bars with the first open task of all threads, and stop them with the last."""
        with self._lock:
            self._open += more
            if self._open == 0:
                self.bars.stop()
            elif self._open == more:
                self.bars.start()

    def say(self, line: str) -> None:
        """Print the line above the bars."""
        self.bars.console.print(printable(line), markup=False, highlight=False)


def for_terminal() -> Progress:
    """Return bars where stderr is a terminal, plain lines elsewhere."""
    return BarProgress() if sys.stderr.isatty() else LineProgress()
