"""How long clips are: measured once, kept in the run's cache."""

from __future__ import annotations

import json
from pathlib import Path

from audiomatch import Run
from audiomatch.audio import SAMPLE_RATE, load_clip
from audiomatch.clips import Clips
from audiomatch.files import write_json


def durations(clips: Clips, run: Run) -> list[float]:
    """Return the seconds of each clip, in order."""
    memory = run.cache / "speaking-rate" / "durations.json"
    known = _recall(memory)
    keys = clips.digests
    missing = {key: i for i, key in enumerate(keys) if key not in known}
    if missing:
        with run.progress.task("durations", total=len(missing)) as task:
            for key, i in missing.items():
                known[key] = load_clip(clips, i).size / SAMPLE_RATE
                task.advance()
        write_json(memory, known)
    return [known[key] for key in keys]


def _recall(memory: Path) -> dict[str, float]:
    try:
        return dict(json.loads(memory.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}  # absent or damaged: measured again
