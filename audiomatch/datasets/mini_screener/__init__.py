"""mini-screener: the corpus that ships with audiomatch; DATASHEET.md says how it was made."""

from __future__ import annotations

from pathlib import Path

from audiomatch.clips import Clips
from audiomatch.datasets.manifest import open_manifest


def open_mini_screener(_path: Path | None, labelled: bool | None) -> Clips:
    """Read the packaged clips."""
    clips = open_manifest(Path(__file__).parent, labelled)
    clips.source = "mini-screener"
    return clips
