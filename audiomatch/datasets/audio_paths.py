"""From what a table calls an audio file to the file."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from audiomatch.errors import brief, nearest
from audiomatch.files import user_path

# Names that are spelt in one way only, whose parts are what `Path` would leave of them.
_PLAIN = re.compile(r"(?!.*\.\.)/?\w[\w .+-]*(/\w[\w .+-]*)*", re.ASCII)
_LISTED = 10_000  # names of a folder that are compared letter by letter


def find_audio(folder: str, name: str) -> str:
    """Return the absolute path of the file that `name` means in a table in `folder`.

    It is the file of that name where there is one, else that of the same name in another Unicode
    form (a Mac's), with the separators of Windows, percent-encoded, or as a file:// address. Where
    there is none of them either it is the path as written.
    """
    if _PLAIN.fullmatch(name):
        return name if name.startswith("/") else f"{folder.rstrip('/')}/{name}"
    plain = _join(folder, name)
    if not _exists(plain):
        for spelling in dict.fromkeys(_spellings(name)):
            other = plain if spelling == name else _join(folder, spelling)
            if other != plain and _exists(other):
                return other
    return plain


def _spellings(name: str) -> Iterator[str]:
    bases = [name] if "%" not in name else [name, unquote(name)]
    if name.lower().startswith("file:"):
        bases = [unquote(urlsplit(name).path)]
    for base in bases:
        for separated in (base, base.replace("\\", "/")):
            yield separated
            yield unicodedata.normalize("NFC", separated)
            yield unicodedata.normalize("NFD", separated)


def _join(folder: str, name: str) -> str:
    path = Path(folder, user_path(name) if name.startswith("~") else name)
    # What is above a link is not what its name says.
    return os.path.realpath(path) if ".." in name and "\0" not in name else str(path)


def _exists(path: str) -> bool:
    return os.path.exists(path)  # noqa: PTH110  (False where Path's own raises)


def hint_at(path: Path) -> str:
    """Return what to say after "no such audio file": the file whose name is much like it, or ""."""
    if ":/" in str(path):
        return "; an address is not fetched, download it first"
    folder = path.parent
    try:
        alike, listed = _names(folder, folder.stat().st_mtime_ns)
    except FileNotFoundError:
        return f"; there is no folder {brief(str(folder))}"
    except OSError:
        return ""
    found = alike.get(_plain(path.name)) or alike.get(_plain(path.stem))
    if found is None and len(listed) <= _LISTED:
        found = nearest(path.name, listed)
    if found is None or found == path.name:
        return ""
    same = unicodedata.normalize("NFC", found) == unicodedata.normalize("NFC", path.name)
    return f"; did you mean {found!r}{' (in another Unicode form)' if same else ''}?"


@lru_cache(maxsize=8)
def _names(folder: Path, _changed: int) -> tuple[dict[str, str], list[str]]:
    """Return the names in a folder by how they look, with and without their endings."""
    names = sorted(entry.name for entry in folder.iterdir())
    stems = {_plain(Path(name).stem): name for name in names}
    return stems | {_plain(name): name for name in names}, names


def _plain(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold().strip()
