"""`audiomatch cache`: what is kept between runs is listed, and removed where that is asked for."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from audiomatch import Run
from audiomatch.cache import ArrayCache

Command = Callable[..., tuple[int, str, str]]


def filled(folder: Path) -> Path:
    for name, count in (("log-mel", 3), ("intake", 1)):
        array = np.zeros(1_000, np.float32)
        ArrayCache(Run(cache=folder), name, 1).keep({str(i): array for i in range(count)})
    (folder / "own").mkdir()
    (folder / "own" / "notes.txt").write_text("mine")
    return folder


def listed(command: Command, *arguments: str | Path) -> dict[str, dict[str, object]]:
    code, out, _ = command("cache", *arguments, "--json")
    assert code == 0
    return {row["part"]: row for row in json.loads(out)}


def test_parts_are_listed_and_removed_by_name(command: Command, tmp_path: Path) -> None:
    folder = filled(tmp_path / "cache")
    found = listed(command, "--cache", folder)
    assert {name: row["arrays"] for name, row in found.items()} == {"intake": 1, "log-mel": 3}
    assert not any(row["removed"] for row in found.values())
    assert listed(command, "--cache", folder, "--remove", "log-mel")["log-mel"]["removed"]
    assert list(listed(command, "--cache", folder)) == ["intake"]
    listed(command, "--cache", folder, "--remove", "all")
    assert [file.name for file in folder.rglob("*") if file.is_file()] == ["notes.txt"]
    assert command("cache", "--cache", folder)[0] == 0


def test_parts_are_removed_by_age(command: Command, tmp_path: Path) -> None:
    folder = filled(tmp_path / "cache")
    for file in (folder / "intake").iterdir():
        os.utime(file, (0, 0))
    found = listed(command, "--cache", folder, "--older-than", "30")
    assert [name for name, row in found.items() if row["removed"]] == ["intake"]
    assert not (folder / "intake").exists() and (folder / "log-mel").exists()


def test_a_part_that_is_not_there_is_named(command: Command, tmp_path: Path) -> None:
    code, _, err = command("cache", "--cache", filled(tmp_path / "cache"), "--remove", "log-mle")
    assert code == 2 and "did you mean 'log-mel'" in err and err.count("\n") == 1


def test_a_damaged_part_can_be_removed(command: Command, tmp_path: Path) -> None:
    folder = filled(tmp_path / "cache")
    (folder / "intake" / "index.sqlite3").write_bytes(b"\0" * 99)
    assert listed(command, "--cache", folder)["intake"]["arrays"] == "damaged"
    listed(command, "--cache", folder, "--remove", "intake")
    assert list(listed(command, "--cache", folder)) == ["log-mel"]
