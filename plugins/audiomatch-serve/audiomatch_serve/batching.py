"""Requests that wait are computed together, by one thread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Batcher(Generic[Item, Result]):
    """Gives what waits to `compute`, as many at a time as wait and `most` allows.

    Nothing is held back to fill a batch: while one is computed the next ones gather, so that a
    single request has no wait and many share a forward pass.
    """

    def __init__(
        self, compute: Callable[[Sequence[Item]], Sequence[Result | Exception]], most: int
    ) -> None:
        """Take the function, which returns a result or an error for each item."""
        self._compute, self._most = compute, most
        self._waiting: asyncio.Queue[tuple[Item, asyncio.Future[Result]]] = asyncio.Queue()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Compute while the block runs."""
        with ThreadPoolExecutor(1, "predict") as thread:
            work = asyncio.create_task(self._work(thread))
            try:
                yield
            finally:
                work.cancel()

    async def __call__(self, item: Item) -> Result:
        """Return the result of `item`, or raise its error. One that is cancelled is left out."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.put_nowait((item, future))
        return await future

    async def _work(self, thread: ThreadPoolExecutor) -> None:
        while True:
            batch = [await self._waiting.get()]
            while len(batch) < self._most and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            batch = [(item, future) for item, future in batch if not future.done()]
            if not batch:
                continue
            computing = asyncio.wrap_future(
                thread.submit(self._compute, [item for item, _ in batch])
            )
            await asyncio.wait([computing])
            error = computing.exception()
            results = [error] * len(batch) if error else computing.result()
            for (_, future), result in zip(batch, results, strict=True):
                _settle(future, result)


def _settle(future: asyncio.Future[Result], result: Result | BaseException) -> None:
    if future.done():  # given up while it was computed
        return
    if isinstance(result, BaseException):
        future.set_exception(result)
    else:
        future.set_result(result)
