"""The run folder: each fold of each matcher is written once, whole, under a key of all it is."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from audiomatch.files import atomic_file, write_json
from audiomatch.plugins import Plugin
from audiomatch.running.identity import digest_of, plugin_identity


@dataclass(frozen=True)
class FoldKey:
    """What decides the numbers of one fold of one matcher."""

    matcher: str
    fold: int
    train: str
    held_out: str
    config: Mapping[str, Any]
    plugin: Plugin
    fingerprint: Mapping[str, str]
    seed: int
    device: str
    precision: str

    @property
    def digest(self) -> str:
        """SHA-256 of the key."""
        return digest_of(
            {
                "train": self.train,
                "held_out": self.held_out,
                "matcher": self.matcher.partition(":")[0].partition("@")[0],
                "config": dict(self.config),
                "plugin": plugin_identity(self.plugin),
                "fingerprint": dict(self.fingerprint),
                "seed": self.seed,
                "device": self.device.partition(":")[0],
                "precision": self.precision,
            }
        )

    @property
    def file(self) -> str:
        """The name of the fold's file: readable, and unique by the key."""
        slug = re.sub(r"[^a-z0-9]+", "-", self.matcher.lower())[:40].strip("-")
        return f"{slug}-{self.fold}-{self.digest[:16]}.json"


class RunFolder:
    """A folder that a run writes and a later run of the same goes on with."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def replay(self, key: FoldKey) -> dict[str, Any] | None:
        """Return the finished fold kept under `key`, or None."""
        try:
            result = json.loads((self.path / "folds" / key.file).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        if result.get("key") != key.digest:
            return None
        return {**result, "replayed": True, "fold": key.fold, "matcher": key.matcher}

    def keep(self, key: FoldKey, result: dict[str, Any]) -> None:
        """Write a finished fold."""
        write_json(self.path / "folds" / key.file, {**result, "key": key.digest})

    def write(self, name: str, content: Any) -> None:
        """Write a JSON file of the run."""
        write_json(self.path / name, content)

    def write_predictions(self, predictions: pd.DataFrame) -> None:
        """Write `predictions.parquet`."""
        with atomic_file(self.path / "predictions.parquet") as temporary:
            predictions.to_parquet(temporary, index=False)
