"""What a server allows and keeps, and its defaults."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MEGABYTE = 10**6


@dataclass(frozen=True)
class Settings:
    """How a model is served.

    Attributes:
        hosts: the names that a request may call the server by; empty for any.
        upload: the most bytes of a request's body.
        text: the most characters of a text.
        batch: the most clips that are predicted together.
        queue: the most requests that are taken on at a time.
        seconds: how long a request may take, its upload and its wait included.
        keep: a folder where clips, texts and answers are kept; None keeps nothing.
    """

    hosts: tuple[str, ...] = ()
    upload: int = 16 * MEGABYTE
    text: int = 2000
    batch: int = 16
    queue: int = 64
    seconds: float = 60.0
    keep: Path | None = None
