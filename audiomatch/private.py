"""Takes out of what is passed on what is nobody's business: where things lie on the machine."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from urllib.parse import quote

# A home folder in any system's words; its user is a name.
_HOME = re.compile(r"(?:[A-Za-z]:)?[\\/](?:home|Users)[\\/][^\\/\s:'\",;]+|/root(?=[/\s:'\",;]|$)")

# Of an absolute path, also inside an option, all but its last part.
_FOLDERS = re.compile(r"(?<![\w.:/\\-])(?:[A-Za-z]:|~\w*)?[\\/][^,()@=\n]*[\\/]")


def without_folders(text: str) -> str:
    """Return a name, an option or a word of a command with the last part alone of its paths."""
    return _FOLDERS.sub("", hider([])(text))


def hider(sources: Sequence[str]) -> Callable[[str], str]:
    """Return what shortens paths in a text: those of data to their last part, homes to `~`."""
    parents = [_parent(source) for source in sources]
    prefixes = sorted(filter(None, parents), key=len, reverse=True)
    home = str(Path.home())

    def hide(text: str) -> str:
        for prefix in prefixes:
            text = text.replace(prefix, "")
        if len(home) > 1:
            text = text.replace(home, "~")
        return _HOME.sub("~", text)

    return hide


def _parent(source: str) -> str:
    """Return what stands before the last part of an absolute path, else nothing."""
    for kind in (PurePosixPath, PureWindowsPath):
        path = kind(source)
        if path.is_absolute() and path.parent != path.parent.parent:
            return source[: len(source) - len(path.name)]
    return ""


def relative_link(folder: Path, file: Path) -> str | None:
    """Return the address of a file from a page in `folder`.

    None where it would tell more than how the two lie in a folder that they share: where this is
    the root, or holds home folders.
    """
    try:
        common = Path(os.path.commonpath([folder, file]))
    except ValueError:  # other drives
        return None
    if len(common.parts) < 2 or common in Path.home().parents:
        return None
    return quote(Path(os.path.relpath(file, folder)).as_posix())
