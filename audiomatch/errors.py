"""What can go wrong by the user's doing, and how it is said."""

from __future__ import annotations

import difflib
import os
import re
import reprlib
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


class UserError(Exception):
    """Bad input: one line that says what is wrong, where, and what would be right.

    The command line prints it without a traceback and exits with code 2. What it quotes may be of
    any length; the line is not.
    """

    def __str__(self) -> str:
        """Return the line, without its middle where it is too long."""
        return shortened(super().__str__())


class UnknownNameError(UserError):
    """The name of a matcher, an option or anything else that nothing has; with the nearest one."""


class ClipError(UserError):
    """A clip that cannot be used: missing, unreadable, empty or too long."""


class WeightsError(UserError):
    """Pretrained weights that cannot be found or do not fit; says how to get them."""


class PluginError(UserError):
    """A plugin that does not keep to the contract: the fault is its own, not the user's."""


class NotFittedError(UserError):
    """A matcher that is asked for what it learned before `fit` or `load`."""


class RenamedWarning(FutureWarning):
    """A name that still works under an older spelling; says what to write in its place."""


class DataWarning(UserWarning):
    """How data was read where that may not be what was meant; the command line shows it."""


_BRIEF = reprlib.Repr()
_BRIEF.maxstring = _BRIEF.maxother = 80


def brief(value: object) -> str:
    """Return a value as Python writes it, cut to what an error message can hold."""
    return _BRIEF.repr(value)


# What moves a terminal's cursor or colours, or turns the direction of what is read.
_UNSAFE = re.compile(
    "[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u061c\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069]"
)


def printable(text: str) -> str:
    """Return a text as it may go to a terminal: control characters are shown as Python's escapes.

    Line breaks and tabs stay.
    """
    return _UNSAFE.sub(lambda found: ascii(found[0])[1:-1], text)


def shortened(line: str, most: int = 2_000) -> str:
    """Return a line without its middle where it has more than `most` characters."""
    half = most // 2
    return line if len(line) <= most else f"{line[:half]} … {line[-half:]}"


def nearest(name: str, choices: Iterable[str]) -> str | None:
    """Return the choice most like `name`, or None where nothing is close."""
    found = difflib.get_close_matches(name.lower(), list(choices), n=1, cutoff=0.5)
    return found[0] if found else None


def unknown(kind: str, name: str, choices: Iterable[str]) -> UnknownNameError:
    """Build the error for a name that is not among `choices`, with the nearest one."""
    listed = sorted(choices)
    close = nearest(name, listed)
    hint = f"did you mean {close!r}? " if close else ""
    return UnknownNameError(f"no {kind} {name!r}; {hint}there is: {', '.join(listed) or 'none'}")


def cause_of(error: BaseException) -> str:
    """Say in one line what a plugin raised, and in which of its files and lines."""
    frames = traceback.extract_tb(error.__traceback__)
    own = str(Path(__file__).parent) + os.sep  # and not audiomatch_whisper beside it
    theirs = [f for f in frames if not f.filename.startswith((own, "<frozen"))]
    message = shortened(" ".join(str(error).split()), 400)
    at = f" ({theirs[-1].filename}:{theirs[-1].lineno})" if theirs else ""
    return f"{type(error).__name__}: {message}{at}" if message else f"{type(error).__name__}{at}"


@contextmanager
def blame_on(who: str) -> Iterator[None]:
    """Turn what a plugin's code raises into a `PluginError` that names it.

    A `UserError` passes; `sys.exit` of the plugin's is a failure like any other.
    """
    try:
        yield
    except (UserError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise PluginError(f"{who}: {cause_of(error)}") from error
