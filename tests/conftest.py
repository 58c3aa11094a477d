"""Small corpora and plugins that the tests share."""

from __future__ import annotations

import csv
import importlib.metadata
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile

import audiomatch.plugins
from audiomatch import Run
from audiomatch.cli import main
from audiomatch.plugins import Registry

WORDS = ("moon", "paper boat", "little green hat", "the dog ran over the hill", "chav", "soup")


def write_tone(path: Path, seconds: float, hertz: float = 440.0, rate: int = 16_000) -> None:
    """Write a tone of an amplitude and length that can be told apart."""
    time = np.arange(int(seconds * rate)) / rate
    soundfile.write(path, 0.3 * np.sin(2 * np.pi * hertz * time), rate)


def write_corpus(folder: Path, clips: int = 36, hertz: float = 440.0) -> Path:
    """Write a manifest whose matches last as long as their text, and mismatches half as long."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    rows = []
    for i in range(clips):
        text, match = WORDS[i % len(WORDS)], (i // len(WORDS)) % 2
        seconds = 0.1 * len(text) * (1.0 if match else 0.5) * rng.uniform(0.95, 1.05)
        write_tone(folder / f"{i:03}.wav", seconds, hertz)
        rows.append(
            {
                "audio": f"{i:03}.wav",
                "expected_text": text,
                "match": match,
                "task": ("blending", "deletion")[i % 2],
                "grade": ("KG", "1")[i % 2],
                "speaker": f"s{i % 5}",
            }
        )
    manifest = folder / "manifest.csv"
    with manifest.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return manifest


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A manifest of 36 clips, 6 texts, both classes."""
    return write_corpus(tmp_path / "data")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A quiet run with a cache of its own."""
    return Run(cache=tmp_path / "cache")


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Registry]:
    """Offer modules as plugins beside the core's, for this test alone."""

    def offer(**modules: ModuleType) -> Registry:
        entries = []
        for name, module in modules.items():
            module.__spec__ = ModuleSpec(name, None)
            monkeypatch.setitem(sys.modules, name, module)
            entries.append(importlib.metadata.EntryPoint(name, name, "audiomatch"))
        made = Registry(entries)
        monkeypatch.setattr(audiomatch.plugins, "registry", lambda: made)
        return made

    return offer


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    """Run `audiomatch` in this process; gives exit code, stdout and stderr.

    So do `bench` and `rerun` with their jobs: stand-ins are plugins of this process alone. Unless
    the test names floors, `bench` has two that fit nothing: all take most of a small run's time.
    """
    monkeypatch.setenv("AUDIOMATCH_CACHE", str(tmp_path / "cache"))

    def call(*arguments: object) -> tuple[int, str, str]:
        if arguments[0] in {"bench", "rerun"} and "--executor" not in arguments:
            arguments = (*arguments, "--executor", "inline")
        if arguments[0] == "bench" and "--floors" not in arguments:
            arguments = (*arguments, "--floors", "base-rate,prior")
        monkeypatch.setattr(sys, "argv", ["audiomatch", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        out, err = capsys.readouterr()
        return int(stopped.value.code or 0), out, err

    return call
