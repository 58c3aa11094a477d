"""Checkpoints of a training on disk, so that a fit that was stopped goes on where it was."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from audiomatch.errors import UserError, WeightsError
from audiomatch.files import atomic_file
from audiomatch.matcher import Run
from audiomatch.running.identity import digest_of
from audiomatch_torch.tensors import load_tensors, save_tensors

FOLDER = "checkpoints"  # within `run.cache`
EVERY = 120.0  # seconds between two checkpoints
MOST_BYTES = 20 * 2**30  # of the checkpoints of all fits together
LONGEST = 30 * 86_400.0  # seconds for which the checkpoints of a stopped fit are kept
IN_USE = 3_600.0  # seconds since the last checkpoint for which a fit is taken to be running


@dataclass(frozen=True)
class Checkpoint:
    """What a training changes, at one moment.

    Attributes:
        tensors: by name.
        facts: all else, as JSON.
    """

    tensors: dict[str, Tensor]
    facts: dict[str, Any]


class Checkpoints:
    """The checkpoints of one fit: the last one of each of its training loops.

    They lie in a folder of `run.cache`, under a key of all that decides the fit's numbers, as
    safetensors and JSON with digests, and are removed when the fit ends well.

    Attributes:
        kept: how far the last checkpoint of this process is, as in "epoch 2 of 3"; empty for none.
    """

    def __init__(self, run: Run, decides: Callable[[], Any], *, read_only: bool = False) -> None:
        """Take the checkpoints of a fit; `decides` gives, JSON-able, what decides its numbers.

        It is called when a checkpoint is first looked for among others, or written. With
        `read_only` another process writes and removes them.
        """
        self._say = run.progress.say
        self._all, self._decides = run.cache / FOLDER, decides
        self._loops = 0
        self._written = time.monotonic()
        self._read_only = read_only
        self._writes = not read_only
        self.kept = ""

    @cached_property
    def _folder(self) -> Path:
        return self._all / digest_of(self._decides())

    def loop(self, decides: Any) -> str:
        """Return the name of the next training loop of the fit."""
        self._loops += 1
        return f"{self._loops}-{digest_of(decides)[:16]}"

    @property
    def due(self) -> bool:
        """Whether the last checkpoint is old enough for another."""
        return self._writes and time.monotonic() - self._written >= EVERY

    def read(self, name: str) -> Checkpoint | None:
        """Return the checkpoint of a loop; one that is damaged is said, removed and not used."""
        if not (self._all.is_dir() and any(self._all.iterdir())):
            return None
        file = self._folder / f"{name}.json"
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            if content["seal"] != digest_of([content["facts"], content["tensors"]]):
                raise ValueError
            tensors = self._folder / content["tensors"]
            if tensors.stem != f"{name}-{_sha256(tensors)}":
                raise ValueError
            return Checkpoint(load_tensors(tensors), content["facts"])
        except FileNotFoundError:
            if not file.exists():
                return None
        except (OSError, ValueError, KeyError, TypeError, WeightsError):
            pass
        self._say(f"{file}: a damaged checkpoint; it is not used, and the training starts over")
        self._remove(name, but="")
        return None

    def write(self, name: str, checkpoint: Checkpoint, kept: str) -> None:
        """Write the checkpoint of a loop; where the disk refuses, that is said once.

        A process that is killed meanwhile leaves the one before as it was.
        """
        if not self._writes:
            return
        try:
            self._write(name, checkpoint)
        except UserError as error:
            self._say(f"{error}; the training goes on without checkpoints")
            self._writes = False
            return
        self._written, self.kept = time.monotonic(), kept

    def _write(self, name: str, checkpoint: Checkpoint) -> None:
        new = self._folder / f"{name}-new.safetensors"
        save_tensors(checkpoint.tensors, new)
        tensors = new.rename(new.with_stem(f"{name}-{_sha256(new)}")).name
        content = {"facts": checkpoint.facts, "tensors": tensors}
        content["seal"] = digest_of([content["facts"], tensors])
        with atomic_file(self._folder / f"{name}.json") as temporary:
            temporary.write_text(json.dumps(content), encoding="utf-8")
        self._remove(name, but=tensors)
        if not self.kept:
            _sweep(self._folder)

    def _remove(self, name: str, but: str) -> None:
        """Remove a loop's tensors other than those of `but`; its checkpoint where there is none."""
        for file in [*self._folder.glob(f"{name}-*"), *self._folder.glob(f".{name}*")]:
            if file.name != but:
                file.unlink(missing_ok=True)
        if not but:
            (self._folder / f"{name}.json").unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove all checkpoints of the fit, which has ended well."""
        if "_folder" in vars(self) and not self._read_only:
            shutil.rmtree(self._folder, ignore_errors=True)

    @contextmanager
    def until_done(self) -> Iterator[None]:
        """Remove the checkpoints at the end; note on an interrupt where the fit will go on."""
        try:
            yield
        except KeyboardInterrupt as error:
            if self.kept:
                error.add_note(f"the training is kept up to {self.kept}")
            raise
        self.remove()


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _sweep(own: Path) -> None:
    """Remove what other fits left: the old ones, and the oldest beyond `MOST_BYTES`."""
    now, total = time.time(), 0
    for written, size, folder in sorted(map(_facts, own.parent.iterdir()), reverse=True):
        total += size
        stale = now - written > LONGEST or (total > MOST_BYTES and now - written > IN_USE)
        if folder != own and stale:
            shutil.rmtree(folder, ignore_errors=True)


def _facts(folder: Path) -> tuple[float, int, Path]:
    """Return when a fit last wrote, how many bytes it has, and its folder."""
    facts = [file.stat() for file in (folder, *folder.glob("*")) if file.exists()]
    return (
        max((fact.st_mtime for fact in facts), default=0.0),
        sum(fact.st_size for fact in facts),
        folder,
    )
