"""What a worker of Ray does: one call, whose progress and answer it streams."""

from __future__ import annotations

import io
import math
import pickle
import queue
import shutil
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

from audiomatch.clips import Clips
from audiomatch.errors import UserError
from audiomatch.machine import default_cache
from audiomatch.matcher import Run
from audiomatch.running.identity import computed_by
from audiomatch.running.relay import RelayedProgress, answer
from audiomatch_ray.bundles import unpack
from audiomatch_ray.parcels import Parcel, Table


@dataclass(frozen=True)
class Setting:
    """What all calls of an executor have in common.

    Attributes:
        home: the node of the driver, whose files and cache are at hand.
        token: names the executor.
        cpus: how many a call has.
    """

    home: str
    token: str
    cpus: float

    @property
    def folder(self) -> Path:
        """Where a machine keeps the files that were sent to it."""
        return Path(tempfile.gettempdir()) / f"audiomatch-ray-{self.token}"


def serve(parcel: Parcel, setting: Setting) -> Iterator[bytes]:
    """Yield pickled messages of progress, and the answer as the last.

    The call has a thread of its own, so that progress is sent meanwhile.
    """
    node = ray.get_runtime_context().get_node_id()
    yield pickle.dumps(("began", node))
    messages: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()

    def call() -> Any:
        _check_code(parcel)
        fn, args = _Unpickler(parcel, setting, node, RelayedProgress(messages.put)).load()
        return fn(*args)

    def work() -> None:
        try:
            messages.put(answer(call))
        finally:
            messages.put(None)

    threading.Thread(target=work, name="job", daemon=True).start()
    while (message := messages.get()) is not None:
        yield message


def _check_code(parcel: Parcel) -> None:
    """Raise `UserError` where this machine would compute by other code than the driver's."""
    for module, theirs in parcel.code.items():
        ours = computed_by(module)
        other = sorted(set(theirs).symmetric_difference(ours))
        if other:
            names = ", ".join(dict.fromkeys(item.partition(" ")[0] for item in other))
            raise UserError(
                f"{ray.util.get_node_ip_address()} has another {names} than the machine that "
                "started this; install the same on all"
            )


class _Unpickler(pickle.Unpickler):
    """Reads a call, with clips, runs and progress as they are on this machine."""

    def __init__(
        self, parcel: Parcel, setting: Setting, node: str, progress: RelayedProgress
    ) -> None:
        super().__init__(io.BytesIO(parcel.call))
        self._tables, self._setting, self._progress = parcel.tables, setting, progress
        self._at_home = node == setting.home

    def persistent_load(self, pid: Any) -> Any:
        match pid:
            case "clips", position:
                return self._clips(ray.get(self._tables[position]))
            case "run", facts:
                run = Run(**{**facts, "workers": max(1, math.floor(self._setting.cpus))})
                run.cache = run.cache if self._at_home else default_cache()
                return run
        return self._progress

    def _clips(self, table: Table) -> Clips:
        if self._at_home or not table.names:
            return table.clips
        folder = self._setting.folder
        unpack(table.bundles, table.names, folder)
        return table.clips.with_files([folder / name for name in table.names])


def forget(setting: Setting) -> None:
    """Delete the files that were sent to this machine."""
    shutil.rmtree(setting.folder, ignore_errors=True)
