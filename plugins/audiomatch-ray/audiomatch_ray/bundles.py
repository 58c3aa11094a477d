"""Audio files on their way to other machines: read once, sent many at a time, known by digest."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import ray

from audiomatch.audio import opened, row_named
from audiomatch.clips import Clips
from audiomatch.errors import UserError
from audiomatch.files import atomic_file

_BUNDLE = 32 * 2**20  # bytes of audio that are sent together


class Bundle(Protocol):
    """Some files, where every worker can read them."""

    @property
    def names(self) -> tuple[str, ...]:
        """The files' names: SHA-256 of the bytes, and the suffix that the file had."""

    def read(self, names: Sequence[str]) -> Mapping[str, bytes]:
        """Return the bytes of those of the files, by name."""


Keep = Callable[[Mapping[str, bytes]], Bundle]


@dataclass(frozen=True)
class StoredBundle:
    """Files in Ray's object store, which brings them to a machine once."""

    names: tuple[str, ...]
    stored: Any

    @classmethod
    def keep(cls, files: Mapping[str, bytes]) -> StoredBundle:
        """Store the files."""
        return cls(tuple(files), ray.put(dict(files)))

    def read(self, names: Sequence[str]) -> Mapping[str, bytes]:
        """Return the bytes of those of the files, by name."""
        files = ray.get(self.stored)
        return {name: files[name] for name in names}


@dataclass(frozen=True)
class RemoteBundle:
    """Files under a URL that fsspec knows (`s3://`, `gs://`, …), which stay there."""

    names: tuple[str, ...]
    url: str

    def read(self, names: Sequence[str]) -> Mapping[str, bytes]:
        """Return the bytes of those of the files, by name."""
        files, root = file_system(self.url)
        return {name: files.cat_file(f"{root}/{name}") for name in names}


def file_system(url: str) -> tuple[Any, str]:
    """Return fsspec's file system of a URL, and the path in it. Raises `UserError`."""
    try:
        from fsspec.core import url_to_fs

        files, root = url_to_fs(url)
    except (ImportError, ValueError) as error:  # also of what one of its file systems needs
        hint = " (pip install 'audiomatch-ray[fsspec]')" * (getattr(error, "name", "") == "fsspec")
        raise UserError(f"--executor ray@store={url}: {error}{hint}") from error
    return files, root.rstrip("/")


def keep_at(url: str) -> Keep:
    """Return what keeps files under a URL, each once for all runs. Raises `UserError`."""
    system, root = file_system(url)
    system.makedirs(root, exist_ok=True)

    def keep(files: Mapping[str, bytes]) -> RemoteBundle:
        for name, content in files.items():
            place = f"{root}/{name}"
            if not system.exists(place) or system.size(place) != len(content):
                system.pipe_file(place, content)
        return RemoteBundle(tuple(files), url)

    return keep


class Shipment:
    """The files that were sent, each once."""

    def __init__(self, keep: Keep) -> None:
        self._keep = keep
        self._names: dict[Path, str] = {}
        self._bundles: dict[str, Bundle] = {}
        self._lock = threading.Lock()

    def send(self, clips: Clips) -> tuple[tuple[str, ...], tuple[Bundle, ...]]:
        """Return the name of each clip's file, and the bundles that hold them.

        Raises `ClipError` with the clip's row where a file cannot be read.
        """
        with self._lock:
            for files in _batches(self._new(clips)):
                bundle = self._keep(files)
                self._bundles.update(dict.fromkeys(files, bundle))
            names = tuple(self._names[path] for path in clips.paths)
        bundles = {id(bundle): bundle for bundle in map(self._bundles.__getitem__, names)}
        return names, tuple(bundles.values())

    def _new(self, clips: Clips) -> Iterator[tuple[str, bytes]]:
        """Give name and bytes of each file that was not yet sent."""
        sent = set(self._bundles)
        for position, path in enumerate(clips.paths):
            if path in self._names:
                continue
            with row_named(clips, position), opened(path) as file:
                content = file.read()
            suffix = path.suffix if re.fullmatch(r"\.\w{1,8}", path.suffix) else ""
            name = self._names[path] = hashlib.sha256(content).hexdigest() + suffix
            if name not in sent:
                sent.add(name)
                yield name, content


def _batches(files: Iterable[tuple[str, bytes]]) -> Iterator[dict[str, bytes]]:
    batch: dict[str, bytes] = {}
    size = 0
    for name, content in files:
        batch[name] = content
        size += len(content)
        if size >= _BUNDLE:
            yield batch
            batch, size = {}, 0
    if batch:
        yield batch


def unpack(bundles: Iterable[Bundle], wanted: Iterable[str], folder: Path) -> None:
    """Write those of the files into `folder` that are not there yet."""
    folder.mkdir(mode=0o700, exist_ok=True)
    names = set(wanted)
    for bundle in bundles:
        missing = [name for name in bundle.names if name in names and not (folder / name).exists()]
        files = bundle.read(missing) if missing else {}
        for name, content in files.items():
            with atomic_file(folder / name) as temporary:
                temporary.write_bytes(content)
