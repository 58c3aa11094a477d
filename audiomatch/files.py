"""Paths as users write them, and files that are written whole or not at all."""

from __future__ import annotations

import ctypes
import errno
import glob
import json
import os
import re
import shutil
import stat
import tempfile
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from audiomatch.errors import UserError
from audiomatch.locks import held

Place = str | os.PathLike[str]  # a path as callers give it
# What the user's disk or rights refuse, as against a fault of the program that writes.
REFUSALS = frozenset(
    {
        errno.EACCES,
        errno.EDQUOT,
        errno.EFBIG,
        errno.EIO,
        errno.EISDIR,
        errno.ENAMETOOLONG,
        errno.ENOSPC,
        errno.ENOTDIR,
        errno.EPERM,
        errno.EROFS,
    }
)

MOST_BYTES = 2**31  # of a table or a record
_HERE, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of renameat2(2)
_YOUNG = 60.0  # seconds in which a new folder may not be held yet


def user_path(path: Place) -> Path:
    """Return `path` with `~` and `~name` at its start as the home folder.

    A shell does so at the start of a word only: not in `--out=~/p.csv`, nor in an environment file.
    A name whose home is not known stays as it is.
    """
    return Path(os.path.expanduser(path))  # noqa: PTH111  (Path's own raises for such a name)


def read_regular(file: Path) -> bytes:
    """Return the bytes of a file.

    Raises `UserError` where it is no regular file, which may block or never end, or is larger than
    any table or record; `OSError` where it cannot be read.
    """
    facts = file.stat()
    if not stat.S_ISREG(facts.st_mode):
        raise UserError(f"{file}: is no regular file")
    if facts.st_size > MOST_BYTES:
        raise UserError(f"{file}: is larger than {MOST_BYTES >> 30} GiB")
    return file.read_bytes()


def check_output_file(target: Path, option: str) -> None:
    """Raise `UserError`, naming `option`, where the file `target` could not be written.

    To be asked before the work whose result goes there. Leaves nothing behind.
    """
    if os.path.isdir(target):  # noqa: PTH112  (False where Path's own raises)
        raise UserError(f"{option} {target}: is a folder; name a file")
    _check_replaceable(target, f"{option} {target}")
    _probe(target.resolve().parent, f"{option} {target}")


def check_output_folder(target: Path, option: str, *, replaced: bool = False) -> None:
    """Raise `UserError`, naming `option`, where the folder `target` could not be written.

    Files are put into it; with `replaced` a new folder takes its place (`atomic_folder`).
    To be asked before the work whose result goes there. Leaves nothing behind.
    """
    exists = os.path.isdir(target)  # noqa: PTH112  (False where Path's own raises)
    if not exists and os.path.lexists(target):
        raise UserError(f"{option} {target}: is no folder; name another")
    place = target.resolve()
    if exists and replaced and place.is_mount():
        raise UserError(f"{option} {target}: a mounted folder cannot be replaced; name one in it")
    _probe(place if exists and not replaced else place.parent, f"{option} {target}")


def check_not_input(target: Path, inputs: Iterable[Path], option: str) -> None:
    """Raise `UserError` where writing `target` would destroy one of the files and folders `inputs`.

    That is so where both are one, under whatever path or link, and where `target` is a folder with
    the other in it.
    """
    if os.path.exists(target):  # noqa: PTH110  (False where Path's own raises)
        for path in inputs:
            if not path.exists():
                continue
            if target.samefile(path) or target.resolve() in path.resolve().parents:
                what = "holds" if target.is_dir() and path.is_file() else "is"
                raise UserError(f"{option} {target}: {what} the input {path}; name another")


def _check_replaceable(target: Path, label: str) -> None:
    """Raise `UserError` for a device or pipe, which a rename would put a file in the place of."""
    if os.path.exists(target) and not target.is_file() and not target.is_dir():  # noqa: PTH110
        raise UserError(f"{label}: is a device or pipe, which is never written over; name a file")


def _probe(folder: Path, label: str) -> None:
    """Make and delete a file in `folder` or in the nearest folder above it that exists."""
    while not os.path.lexists(folder) and folder != folder.parent:
        folder = folder.parent
    try:
        with tempfile.NamedTemporaryFile(prefix=".audiomatch-", dir=folder):
            pass
    except NotADirectoryError:
        raise UserError(f"{label}: cannot be written: {folder} is not a folder") from None
    except OSError as error:
        raise UserError(f"{label}: cannot be written: {folder}: {error.strerror}") from None


@contextmanager
def atomic_file(target: Path) -> Iterator[Path]:
    """Give a temporary path to write; it becomes `target` when the block ends well.

    The file gets the mode that the umask gives a new one, whatever the block's library sets.
    Raises `UserError` where the disk refuses.
    """
    with refusals_named(target):
        # Of a link the file that it names is written, not the link. (`resolve` raises for a loop.)
        place = Path(os.path.realpath(target))
        _check_replaceable(place, str(target))
        temporary = _temporary(place, place.suffix)
        place.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        try:
            mode = stat.S_IMODE(temporary.stat().st_mode)
            yield temporary
            temporary.chmod(mode)
            temporary.replace(place)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Give a temporary folder to fill; it takes the place of `target` when the block ends well.

    The folder and all in it get the modes that the umask gives new ones. What a killed process left
    of another attempt is removed. Raises `UserError` where the disk refuses.
    """
    with refusals_named(target):
        place = target.resolve()
        _sweep(place)
        temporary, old = _temporary(place, ""), _temporary(place, ".old")
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir()
        try:
            mode = stat.S_IMODE(temporary.stat().st_mode)
            with held(temporary):
                yield temporary
                _set_modes(temporary, mode)
                _replace_folder(temporary, place, old)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)


def _replace_folder(new: Path, place: Path, old: Path) -> None:
    """Rename `new` to `place`; what was there may be at either of the other paths after that."""
    if not place.exists():
        new.rename(place)
    elif not _swap(new, place):
        place.rename(old)
        try:
            new.rename(place)
        except BaseException:
            old.rename(place)
            raise


def _swap(one: Path, other: Path) -> bool:
    """Exchange two paths in one step; False where the system cannot (Linux can)."""
    try:
        exchange = ctypes.CDLL(None).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    failed: int = exchange(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE)
    return failed == 0


def _sweep(place: Path) -> None:
    """Remove temporary folders of `place` that no process holds, once they are a minute old."""
    for left in place.parent.glob(f".{glob.escape(place.stem[:40])}-*"):
        ours = re.fullmatch(r"-[0-9a-f]{12}(\.old)?", left.name.removeprefix(f".{place.stem[:40]}"))
        if ours and left.is_dir() and time.time() - left.stat().st_mtime > _YOUNG:
            with held(left) as dead:
                if dead:
                    shutil.rmtree(left, ignore_errors=True)


def write_json(target: Path, content: Any) -> None:
    """Write JSON atomically; NaN and infinity are refused."""
    with atomic_file(target) as temporary:
        temporary.write_text(
            json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n",
            encoding="utf-8",
        )


@contextmanager
def refusals_named(target: Path) -> Iterator[None]:
    """Raise `UserError`, naming `target`, for what the user's disk or rights refuse."""
    try:
        yield
    except OSError as error:
        if error.errno not in REFUSALS:
            raise
        reason = os.strerror(error.errno)
        raise UserError(f"{target}: cannot be written: {reason}") from error


def _temporary(place: Path, suffix: str) -> Path:
    """Return a hidden path beside `place` that nothing has."""
    return place.with_name(f".{place.stem[:40]}-{uuid.uuid4().hex[:12]}{suffix}")


def _set_modes(folder: Path, mode: int) -> None:
    """Give each file and folder in `folder` the read and write bits of `mode`."""
    for inside in (folder, *folder.rglob("*")):
        if not inside.is_symlink():
            own = stat.S_IMODE(inside.stat().st_mode) & ~0o777
            inside.chmod(own | (mode if inside.is_dir() else mode & 0o666))
