"""The executor `process`: a worker process for each matcher, so that what breaks breaks alone."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ParamSpec, TypeVar

from pydantic import Field

from audiomatch.errors import PluginError
from audiomatch.memory import tree_mb
from audiomatch.progress import Progress, QuietProgress
from audiomatch.running.jobs import Entrant, Job
from audiomatch.running.relay import RelayedTasks
from audiomatch.running.worker import serve
from audiomatch.workers import CONTEXT

P = ParamSpec("P")
T = TypeVar("T")
Limit = Annotated[float, Field(gt=0)] | None

_TICK = 0.25  # seconds between two looks at a worker
_GRACE = 2.0  # seconds that a worker has to leave
# Kills a process group when its stdin ends: when it is closed, or the parent is gone, however.
_REAPER = "import os, sys; sys.stdin.read(); os.killpg(int(sys.argv[1]), 9)"


class LostWorkerError(PluginError):
    """A worker that ended, hung or grew too large before it had answered."""


class ProcessExecutor(Executor):
    """Runs the jobs of each matcher in a process of its own, one matcher after another.

    `submit` returns when the job has ended. The worker that was asked about a matcher, whose code
    it has imported, waits for its jobs and takes all that have the same `Job.worker`. Before
    another's first job it is ended, with all that it started, so that its memory is free. What is
    lost with a worker is the job at hand: the next one gets a fresh worker.
    """

    def __init__(
        self,
        timeout: Limit = None,
        memory: Limit = None,
        idle: Annotated[int, Field(ge=1)] = 4,
    ) -> None:
        """Take limits of one job.

        Args:
            timeout: seconds, from asking to the answer.
            memory: MB that the worker and its children have resident together.
            idle: workers that may wait for their jobs; others are ended and start again for them.
        """
        self._limits = _Limits(timeout, memory)
        self._idle = idle
        self._workers: dict[str, _Worker] = {}
        self._running = ""

    def beside_others(self, threads: int) -> ProcessExecutor:
        """Return another with the same limits, to run beside others from a thread of its own.

        Its workers have `threads` threads, and what is shown of a job has the job's name.
        """
        other = ProcessExecutor(idle=self._idle)
        other._limits = replace(self._limits, threads=threads, stopped=threading.Event())
        return other

    def interrupt(self) -> None:
        """Have the call at hand, for which another thread waits, end as by an interrupt."""
        self._limits.stopped.set()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call `fn` in a worker; an interrupt ends it and goes through. There are no keywords."""
        assert not kwargs, "jobs have no keywords"
        asked = next((arg for arg in args if isinstance(arg, Job | Entrant)), None)
        owner = asked.worker if asked else ""
        if isinstance(asked, Job) and owner != self._running:
            self._end(self._running)
            self._running = owner
        shown = next((arg for arg in args if isinstance(arg, Progress)), QuietProgress())
        sent = [QuietProgress() if arg is shown else arg for arg in args]
        name = asked.name if isinstance(asked, Job) and self._limits.threads else ""
        tasks = RelayedTasks(shown, name)
        future: Future[T] = Future()
        try:
            future.set_result(self._worker_of(owner).ask((fn, sent), tasks))
        except Exception as error:  # noqa: BLE001 - it is raised again by the future
            future.set_exception(error)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002
        """End the workers."""
        for owner in list(self._workers):
            self._end(owner)

    def _worker_of(self, owner: str) -> _Worker:
        self._workers = {o: worker for o, worker in self._workers.items() if not worker.ended}
        if owner not in self._workers:
            if len(self._workers) >= self._idle:  # the last one, whose turn comes last
                self._end(next(reversed(self._workers)))
            self._workers[owner] = _Worker(self._limits)
        return self._workers[owner]

    def _end(self, owner: str) -> None:
        if owner in self._workers:
            self._workers.pop(owner).end()


@dataclass(frozen=True)
class _Limits:
    """What ends a call, as the options of `ProcessExecutor` say, and what a worker may use."""

    timeout: float | None
    memory: float | None
    threads: int | None = None
    stopped: threading.Event = field(default_factory=threading.Event)


class _Worker:
    """A process that answers calls, as seen from its parent."""

    def __init__(self, limits: _Limits) -> None:
        self._limits = limits
        self._pipe, theirs = CONTEXT.Pipe()
        self._process = CONTEXT.Process(target=serve, args=(theirs, limits.threads), daemon=False)
        self._process.start()
        theirs.close()
        self._reaper = _reaper(self._process.pid)
        self.ended = False

    def ask(self, call: tuple[Callable[..., T], list[Any]], shown: RelayedTasks) -> T:
        """Return what the call gives, or raise what it raises; show its tasks.

        Raises `LostWorkerError` where no answer comes; the worker is then ended, as it is by an
        interrupt.
        """
        asked = pickle.dumps(call)
        with contextlib.closing(shown) as tasks:
            try:
                with contextlib.suppress(ConnectionError):  # why it is gone is told below
                    self._pipe.send_bytes(asked)
                for kind, *facts in self._messages():
                    if kind == "returned":
                        return facts[0]  # type: ignore[no-any-return]
                    if kind == "raised":
                        raise facts[0]
                    if kind != "stopped":  # by another's signal: how it ended comes next
                        tasks.hear(kind, *facts)
            except BaseException as error:
                if not isinstance(error, Exception):
                    for note in self.stop():
                        error.add_note(note)
                raise
        raise AssertionError

    def _messages(self) -> Iterator[tuple[Any, ...]]:
        """Give what the worker sends. Raises `LostWorkerError` where it has ended or must end."""
        started = looked = time.monotonic()
        while True:
            try:
                if self._pipe.poll(_TICK):
                    yield pickle.loads(self._pipe.recv_bytes())  # noqa: S301 - from `serve`
                elif self._process.exitcode is not None:
                    raise EOFError
            except (EOFError, ConnectionError):
                self._process.join(_GRACE)
                why = _ending(self._process.exitcode)
                self.kill()
                raise LostWorkerError(why) from None
            if self._limits.stopped.is_set():
                raise KeyboardInterrupt
            now = time.monotonic()
            if now - looked >= _TICK:
                looked = now
                self._hold_to_limits(now - started)

    def _hold_to_limits(self, seconds: float) -> None:
        timeout, memory = self._limits.timeout, self._limits.memory
        if timeout is not None and seconds > timeout:
            self.stop()
            raise LostWorkerError(f"no answer within {timeout:g} s (timeout)")
        if memory is not None and (used := tree_mb(self._process.pid)) > memory:
            self.kill()
            raise LostWorkerError(f"used {used:,.0f} MB of memory; allowed are {memory:,.0f}")

    def end(self) -> None:
        """Let it leave, between two calls."""
        if not self.ended:
            self._pipe.close()
            self._process.join(_GRACE)
            self.kill()

    def stop(self) -> list[str]:
        """Have it break off its call and leave: its temporary files go with it.

        Returns what it notes of what is kept.
        """
        notes: list[str] = []
        if not self.ended:
            self._process.terminate()
            until = time.monotonic() + _GRACE
            notes = self._last_notes(until)
            self._process.join(max(0.0, until - time.monotonic()))
            self.kill()
        return notes

    def _last_notes(self, until: float) -> list[str]:
        with contextlib.suppress(EOFError, ConnectionError):
            while self._pipe.poll(max(0.0, until - time.monotonic())):
                kind, *facts = pickle.loads(self._pipe.recv_bytes())  # noqa: S301 - from `serve`
                if kind == "stopped":
                    return list(facts[0])
        return []

    def kill(self) -> None:
        """End it, and all that it started."""
        if not self.ended:
            self.ended = True
            self._process.kill()
            self._process.join()
            self._pipe.close()
            if self._reaper is not None:
                self._reaper.communicate()


def _reaper(group: int | None) -> subprocess.Popen[bytes] | None:
    """Start what ends a process group with this process; its own is another."""
    if not hasattr(os, "killpg"):
        return None
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _REAPER, str(group)],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # the group may be gone
        start_new_session=True,
    )


def _ending(code: int | None) -> str:
    """Say how a worker ended, by its exit code as `Process.exitcode` gives it."""
    if code is None:
        return "the worker closed its connection"
    if code >= 0:
        return f"the worker ended with exit code {code}"
    with contextlib.suppress(ValueError):
        name = signal.Signals(-code).name
        memory = ", as the system does where memory runs out" if name == "SIGKILL" else ""
        return f"the worker was killed by signal {-code} ({name}){memory}"
    return f"the worker was killed by signal {-code}"
