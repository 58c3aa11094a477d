"""Calls on their way to a worker: what they share is sent once, and fitted to where it arrives."""

from __future__ import annotations

import io
import pickle
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import ray

from audiomatch.clips import Clips
from audiomatch.errors import UserError
from audiomatch.matcher import Run
from audiomatch.progress import Progress, QuietProgress
from audiomatch.running.identity import computed_by
from audiomatch.running.jobs import Job
from audiomatch_ray.bundles import Bundle, Shipment


@dataclass(frozen=True)
class Table:
    """Clips as they are sent.

    Attributes:
        clips: the clips, with their paths on the driver's machine.
        names: the name of each clip's file in `bundles`; empty where the paths hold everywhere.
        bundles: the files.
    """

    clips: Clips
    names: tuple[str, ...] = ()
    bundles: tuple[Bundle, ...] = ()


@dataclass(frozen=True)
class Parcel:
    """A call as it is sent.

    Attributes:
        call: pickled function and arguments, without clips, runs and progress.
        tables: references to the `Table`s of the clips, in Ray's object store.
        code: what `computed_by` says on the driver of each module that is to compute.
    """

    call: bytes
    tables: tuple[Any, ...]
    code: dict[str, list[str]]


class Packer:
    """Makes parcels; a table of clips is stored when it is first sent, and its files with it."""

    def __init__(self, shipment: Shipment | None, shared: Path | None = None) -> None:
        """Take what sends files; None where paths hold everywhere: all of them in `shared`."""
        self._shipment, self._shared = shipment, shared
        self._stored: dict[int, tuple[Clips, Any]] = {}
        self._lock = threading.Lock()

    def pack(self, fn: Callable[..., Any], args: Sequence[Any]) -> Parcel:
        """Return the parcel of a call. Raises `UserError` where a file cannot be sent."""
        tables: dict[Any, int] = {}
        target = io.BytesIO()
        _Pickler(target, lambda clips: tables.setdefault(self._store(clips), len(tables))).dump(
            (fn, args)
        )
        modules = ["audiomatch"]
        modules += [arg.entrant.plugin.module for arg in args if isinstance(arg, Job)]
        code = {module: computed_by(module) for module in modules}
        return Parcel(target.getvalue(), tuple(tables), code)

    def _store(self, clips: Clips) -> Any:
        with self._lock:
            if id(clips) not in self._stored:
                self._stored[id(clips)] = clips, ray.put(self._table(clips))
            return self._stored[id(clips)][1]

    def _table(self, clips: Clips) -> Table:
        sent = clips.with_files(clips.paths)
        if self._shipment is not None:
            return Table(sent, *self._shipment.send(clips))
        if self._shared is not None:
            self._check_shared(clips, self._shared)
        return Table(sent)

    def _check_shared(self, clips: Clips, shared: Path) -> None:
        for position, path in enumerate(clips.paths):
            if not path.is_relative_to(shared):
                raise UserError(f"{clips.where(position)}: {path} is not in {shared} (@shared)")


class _Pickler(pickle.Pickler):
    def __init__(self, target: io.BytesIO, place: Callable[[Clips], int]) -> None:
        super().__init__(target)
        self._place = place

    def persistent_id(self, obj: Any) -> Any:
        if isinstance(obj, Clips):
            return "clips", self._place(obj)
        if isinstance(obj, Run):
            named = {field.name: getattr(obj, field.name) for field in fields(obj)}
            return "run", named | {"progress": QuietProgress()}
        return "progress" if isinstance(obj, Progress) else None
