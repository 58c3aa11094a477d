"""Arrays by key in one file that every process maps: a cache that outgrows memory."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
import uuid
import zlib
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_ALIGNMENT = 64  # bytes; the most that vector instructions ask for, and a label's length
_LOCK_SECONDS = 60.0  # how long a writer waits for another
_NOT_OURS = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}
# What a damaged index raises: of SQLite, or of values in it that are none of ours.
_DAMAGE = (sqlite3.Error, TypeError, ValueError)
_TABLES = (
    "CREATE TABLE IF NOT EXISTS data (name TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS arrays (key TEXT PRIMARY KEY, place INTEGER NOT NULL, "
    "bytes INTEGER NOT NULL, dtype TEXT NOT NULL, shape TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS costs (key TEXT PRIMARY KEY, seconds REAL NOT NULL) WITHOUT ROWID",
)
_EMPTY = ("DELETE FROM arrays", "DELETE FROM data", "DELETE FROM costs")


class StoreContents(NamedTuple):
    """What a store keeps.

    Attributes:
        arrays: how many; None where the index is damaged.
        size: bytes of its files.
        written: when it was last written, in seconds of the epoch.
    """

    arrays: int | None
    size: int
    written: float


class ArrayStore:
    """A folder of NumPy arrays by string key, shared by folds, matchers and processes.

    One file holds the arrays, one behind the other, each after a digest that says what it is; it
    is only ever appended to. An SQLite database says where each array lies. A writer holds the
    database's lock and commits once its arrays are on the disk, so several processes may write,
    and one that is killed leaves at worst bytes that nothing refers to. A folder that cannot be
    read or written, or is damaged, is no error: nothing is found in it, and the next `put` starts
    it anew where it can. What is kept under a key is never changed: the key must say all that
    decides the array. A check sum is kept with each array; one whose bytes have changed is not
    found, and the next `put` keeps it again.

    Attributes:
        refusal: why the last `put` kept nothing; empty where it did.
        damaged: whether something was found that is not as it was kept.
    """

    def __init__(self, folder: Path) -> None:
        """Take a folder, which need not exist."""
        self.folder = folder
        self.refusal = ""
        self.damaged = False
        self._index = folder / "index.sqlite3"
        self._mapped: tuple[str, Array] = ("", np.empty(0, np.uint8))

    def get(self, keys: Iterable[str]) -> dict[str, Array]:
        """Return those of `keys` that are kept, as read-only views into the mapped file.

        The file stays mapped, and takes address space but no memory of its own, while a view or
        the store lives.
        """
        try:
            with closing(self._connect("rw")) as index:
                index.execute("BEGIN")
                return self._views(index, keys)
        except OSError as error:
            self.damaged |= isinstance(error, FileNotFoundError)  # of the file that the index names
            return {}
        except _DAMAGE as error:
            self.damaged |= _not_ours(error) and self._index.stat().st_size > 0
            return {}

    def seconds(self, keys: Iterable[str]) -> dict[str, float]:
        """Return what those of `keys` cost of which that is kept."""
        with contextlib.suppress(OSError, *_DAMAGE), closing(self._connect("ro")) as index:
            asked = "SELECT key, seconds FROM costs WHERE key = ?"
            rows = [index.execute(asked, (key,)).fetchone() for key in keys]
            return {str(row[0]): float(row[1]) for row in rows if row}
        return {}

    def put(self, arrays: Mapping[str, Array], seconds: Mapping[str, float] | None = None) -> bool:
        """Keep `arrays`, those whose key is kept already excepted; False where the disk refuses.

        `seconds` are what they cost, by key. Raises `TypeError` for an array of Python objects.
        """
        own = {key: np.asarray(array, order="C") for key, array in arrays.items()}
        if any(array.dtype.hasobject for array in own.values()):
            raise TypeError("arrays of Python objects cannot be mapped")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not self._appended(own, seconds or {}):
                for name in (self._index.name, f"{self._index.name}-journal"):
                    (self.folder / name).unlink(missing_ok=True)
                self._append(own, seconds or {})
        except (OSError, sqlite3.Error) as error:
            self.refusal = getattr(error, "strerror", None) or str(error)
            return False
        self.refusal = ""
        return True

    def _appended(self, arrays: Mapping[str, Array], seconds: Mapping[str, float]) -> bool:
        """Append, and return whether all can be found; a damaged index may lose them unsaid."""
        try:
            self._append(arrays, seconds)
        except _DAMAGE as error:
            if not _not_ours(error):
                raise
            return False
        return len(self.get(arrays)) == len(arrays)

    def contents(self) -> StoreContents | None:
        """Return how much is kept; None where the folder holds no such store."""
        if not self._index.is_file():
            return None
        count = None
        with contextlib.suppress(sqlite3.Error), closing(self._connect("ro")) as index:
            count = int(index.execute("SELECT COUNT(*) FROM arrays").fetchone()[0])
        facts = []
        for file in self._files():
            with contextlib.suppress(FileNotFoundError):  # another process may remove some
                facts.append(file.stat())
        if not facts:
            return None
        return StoreContents(
            count, sum(one.st_size for one in facts), max(one.st_mtime for one in facts)
        )

    def clear(self, most: int) -> None:
        """Remove the arrays where their file has `most` bytes or more, and it can be done.

        Others may read and write meanwhile; views of what is removed stay as they are.
        """
        with contextlib.suppress(OSError, *_DAMAGE), closing(self._connect("rw")) as index:
            index.execute("BEGIN IMMEDIATE")
            name = _data_name(index)
            if name is None or (self.folder / name).stat().st_size < most:
                return
            for table in _EMPTY:
                index.execute(table)
            index.execute("COMMIT")
            (self.folder / name).unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove the store's own files, and the folder where nothing else is in it."""
        for file in self._files():
            file.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.folder.rmdir()

    def _files(self) -> list[Path]:
        return [*self.folder.glob(f"{self._index.name}*"), *self.folder.glob("arrays-*.bin")]

    def _connect(self, mode: str) -> sqlite3.Connection:
        place = f"{self._index.absolute().as_uri()}?mode={mode}"
        return sqlite3.connect(place, timeout=_LOCK_SECONDS, isolation_level=None, uri=True)

    def _views(self, index: sqlite3.Connection, keys: Iterable[str]) -> dict[str, Array]:
        name = _data_name(index)
        if name is None:
            return {}
        data = self._map(name)
        found = {}
        for key in keys:
            row = index.execute(
                "SELECT place, bytes, dtype, shape FROM arrays WHERE key = ?", (key,)
            ).fetchone()
            if row is None:
                continue
            place, size, dtype, shape = row
            before = data[max(0, place - _ALIGNMENT) : place].tobytes()
            own = data[place : place + size]
            if len(own) == size and before == _label(key, dtype, shape, own.data):
                found[key] = own.view(np.dtype(dtype)).reshape(json.loads(shape))
            else:
                self.damaged = True
        return found

    def _map(self, name: str) -> Array:
        """Map the whole file, or take the map of before where the file has not grown."""
        place = self.folder / name
        size = place.stat().st_size
        if self._mapped[0] != name or len(self._mapped[1]) != size:
            data = np.memmap(place, np.uint8, "r") if size else np.empty(0, np.uint8)
            self._mapped = (name, data.view(np.ndarray))
        return self._mapped[1]

    def _append(self, arrays: Mapping[str, Array], seconds: Mapping[str, float]) -> None:
        with closing(self._connect("rwc")) as index:
            index.execute("BEGIN IMMEDIATE")
            for table in _TABLES:
                index.execute(table)
            place, end = self._data(index)
            known = self._views(index, arrays)
            rows = []
            with place.open("r+b") as file:
                with contextlib.suppress(OSError):  # where a mapped file cannot be cut
                    file.truncate(end)  # what a killed writer or a full disk left
                file.seek(0, os.SEEK_END)
                for key, array in arrays.items():
                    if key in known:
                        continue
                    dtype, shape, content = (
                        array.dtype.str,
                        json.dumps(array.shape),
                        array.tobytes(),
                    )
                    file.write(bytes(-file.tell() % _ALIGNMENT))
                    file.write(_label(key, dtype, shape, content))
                    rows.append((key, file.tell(), array.nbytes, dtype, shape))
                    file.write(content)
                file.flush()
                os.fsync(file.fileno())
            index.executemany("INSERT OR REPLACE INTO arrays VALUES (?, ?, ?, ?, ?)", rows)
            costs = [(row[0], seconds[row[0]]) for row in rows if row[0] in seconds]
            index.executemany("INSERT OR REPLACE INTO costs VALUES (?, ?)", costs)
            index.execute("COMMIT")

    def _data(self, index: sqlite3.Connection) -> tuple[Path, int]:
        """Return the file of the arrays, a new one where it is gone or cut off, and their end."""
        name = _data_name(index)
        end = index.execute("SELECT MAX(place + bytes) FROM arrays").fetchone()[0] or 0
        if name is not None:
            place = self.folder / name
            with contextlib.suppress(FileNotFoundError):
                if place.stat().st_size >= end:
                    return place, int(end)
        # A name of its own, for others may have mapped the old file or still write to it.
        place = self.folder / f"arrays-{uuid.uuid4().hex}.bin"
        place.touch(exist_ok=False)
        for table in _EMPTY:
            index.execute(table)
        index.execute("INSERT INTO data VALUES (?)", (place.name,))
        for other in self.folder.glob("arrays-*.bin"):
            if other != place:
                with contextlib.suppress(OSError):
                    other.unlink()
        return place, 0


def _not_ours(error: Exception) -> bool:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    return not isinstance(error, sqlite3.Error) or code in _NOT_OURS


def _data_name(index: sqlite3.Connection) -> str | None:
    row = index.execute("SELECT name FROM data").fetchone()
    return None if row is None else str(row[0])


def _label(key: str, dtype: str, shape: str, content: bytes | memoryview) -> bytes:
    """Return what stands before an array: `_ALIGNMENT` bytes that say what it is and holds.

    CRC-32 finds every flipped bit and is the quickest check at hand, over gigabytes at each start.
    """
    facts = "\0".join((key, dtype, shape, f"{zlib.crc32(content):08x}"))
    return hashlib.blake2b(facts.encode(), digest_size=_ALIGNMENT).digest()
