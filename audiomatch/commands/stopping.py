"""What is said of a command that an interrupt stopped, and of one that was started many times."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from audiomatch.errors import UserError

NOTHING = "nothing of this fit is kept"


@contextmanager
def if_stopped(kept: str, *, alone: bool = False) -> Iterator[None]:
    """Note on an interrupt what is kept; with `alone` only where nothing else is noted."""
    try:
        yield
    except KeyboardInterrupt as error:
        if not (alone and getattr(error, "__notes__", [])):
            error.add_note(kept)
        raise


def kept_after(error: BaseException) -> str:
    """Return what the notes of an interrupt say is kept, or what holds for any command."""
    cause = error if isinstance(error, KeyboardInterrupt) else error.__cause__
    notes = getattr(cause, "__notes__", ["what is finished is kept"])
    kept = ", ".join(reversed(notes))
    return kept if NOTHING in notes else f"{kept}, the same command goes on from there"


def check_started_once() -> None:
    """Raise `UserError` where a launcher such as torchrun has started several copies at once."""
    copies = os.environ.get("WORLD_SIZE", "1")
    if "RANK" in os.environ and copies.isdecimal() and int(copies) > 1:
        raise UserError(
            f"started {copies} times at once by a launcher (WORLD_SIZE={copies}), and all copies "
            "would write the same results; start it once, without torchrun or accelerate launch "
            "(several GPUs: --device cuda:0,cuda:1)"
        )
