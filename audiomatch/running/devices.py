"""Several devices at once: a lane for each, which takes the next call when it is free."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import replace
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from audiomatch.errors import UserError
from audiomatch.matcher import Run
from audiomatch.running.jobs import Job
from audiomatch.running.process import ProcessExecutor

P = ParamSpec("P")
T = TypeVar("T")
_Call = tuple[Future[Any], Callable[..., Any], Sequence[Any]]


class DevicesExecutor(Executor):
    """Runs calls side by side, one on each of `run.devices`, in workers as `process` has them.

    The `Run` among a call's arguments, or its job's, is given the device of the lane that takes
    the call, and a share of the CPU workers. What is lost with a worker is the call at hand.
    """

    def __init__(self, like: Executor, run: Run) -> None:
        """Take the executor whose limits each lane has. Raises `UserError` for another kind."""
        if not isinstance(like, ProcessExecutor):
            raise UserError(
                f"--device {run.device_list}: only --executor process runs jobs on several devices"
            )
        threads = max(1, run.workers // len(run.devices))
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._lanes = [
            _Lane(device, threads, like.beside_others(threads), self._calls)
            for device in run.devices
        ]
        for lane in self._lanes:
            lane.start()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call `fn` in a worker of the first lane that is free. There are no keywords."""
        assert not kwargs, "jobs have no keywords"
        future: Future[T] = Future()
        self._calls.put((future, fn, args))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Wait for the calls or, with `cancel_futures`, break them off; then end the workers."""
        if cancel_futures:
            for lane in self._lanes:
                lane.interrupt()
        for _ in self._lanes:
            self._calls.put(None)
        for lane in self._lanes if wait else ():
            lane.join()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Shut down; after an error without waiting, and with what is kept of calls noted on it."""
        self.shutdown(cancel_futures=error is not None)
        if isinstance(error, KeyboardInterrupt):
            for note in (note for lane in self._lanes for note in lane.notes):
                error.add_note(note)


class _Lane(threading.Thread):
    """A device, and the thread that waits for its workers: a worker ends with its starter.

    Attributes:
        notes: what the call that an interrupt broke off said is kept.
    """

    def __init__(
        self,
        device: str,
        threads: int,
        processes: ProcessExecutor,
        calls: queue.SimpleQueue[_Call | None],
    ) -> None:
        super().__init__(name=device, daemon=True)
        self._device, self._threads = device, threads
        self._processes, self._calls = processes, calls
        self._stopped = False
        self.notes: list[str] = []

    def interrupt(self) -> None:
        """Break off the call at hand, and take no further one."""
        self._stopped = True
        self._processes.interrupt()

    def run(self) -> None:
        """Take calls until there is None."""
        with self._processes:
            while (call := self._calls.get()) is not None:
                future, fn, args = call
                if self._stopped:
                    future.cancel()
                elif future.set_running_or_notify_cancel():
                    self._answer(future, fn, [self._placed(arg) for arg in args])

    def _answer(self, future: Future[Any], fn: Callable[..., Any], args: Sequence[Any]) -> None:
        try:
            future.set_result(self._processes.submit(fn, *args).result())
        except BaseException as error:  # noqa: BLE001 - it is raised again by the future
            if isinstance(error, KeyboardInterrupt):
                name = next((f"{arg.name}: " for arg in args if isinstance(arg, Job)), "")
                self.notes += [name + note for note in getattr(error, "__notes__", [])]
            future.set_exception(error)

    def _placed(self, arg: Any) -> Any:
        """Return an argument with the lane's device in the place of the command's."""
        if isinstance(arg, Job):
            return replace(arg, run=self._placed(arg.run))
        if isinstance(arg, Run):
            return replace(arg, device=self._device, devices=(), workers=self._threads)
        return arg
