"""Arrays are computed once, kept under all that decides them, and never needed on the disk."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audiomatch import Run
from audiomatch.cache import ArrayCache
from audiomatch.plugins import Registry
from audiomatch.progress import QuietProgress
from audiomatch.running.array_store import ArrayStore
from tests.toys import toy_plugin

Command = Callable[..., tuple[int, str, str]]


class Compute:
    """Gives an array of each position, and remembers which were asked for."""

    def __init__(self, *, stop_at: int = -1) -> None:
        self.asked: list[int] = []
        self.stop_at = stop_at

    def __call__(self, positions: list[int]) -> Iterator[Any]:
        for position in positions:
            if position == self.stop_at:
                raise KeyboardInterrupt
            self.asked.append(position)
            yield np.full(3, position, np.float32)


class Said(QuietProgress):
    """Remembers what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def test_each_missing_key_is_computed_once_and_kept(run: Run) -> None:
    first = Compute()
    found = ArrayCache(run, "toy", 1).fill(["a", "b", "a", "c"], first)
    assert [int(array[0]) for array in found] == [0, 1, 0, 3] and first.asked == [0, 1, 3]
    second = Compute()
    found = ArrayCache(run, "toy", 1).fill(["d", "c", "b"], second)
    assert [int(array[0]) for array in found] == [0, 3, 1] and second.asked == [0]
    assert ArrayCache(run, "toy", 1).fill([], Compute()) == []


def test_another_version_or_name_is_another_array(run: Run) -> None:
    ArrayCache(run, "toy", {"code": ["x 1"], "size": 2}).fill(["a"], Compute())
    for name, version in (
        ("toy", {"code": ["x 2"], "size": 2}),
        ("toy", {"code": ["x 1"], "size": 3}),
        ("other", {"code": ["x 1"], "size": 2}),
    ):
        assert ArrayCache(run, name, version).get(["a"]) == {}
    assert list(ArrayCache(run, "toy", {"size": 2, "code": ["x 1"]}).get(["a", "b"])) == ["a"]


def test_an_interrupt_loses_nothing_that_was_computed(run: Run) -> None:
    keys = [f"k{i}" for i in range(6)]
    with pytest.raises(KeyboardInterrupt):
        ArrayCache(run, "toy", 1).fill(keys, Compute(stop_at=4))
    again = Compute()
    ArrayCache(run, "toy", 1).fill(keys, again)
    assert again.asked == [4, 5]


def test_large_arrays_are_kept_in_pieces(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audiomatch.cache.KEPT_AT_ONCE", 24)
    puts = []
    put = ArrayStore.put
    monkeypatch.setattr(
        ArrayStore,
        "put",
        lambda self, arrays, *cost: puts.append(len(arrays)) or put(self, arrays, *cost),
    )
    found = ArrayCache(run, "toy", 1).fill([f"k{i}" for i in range(5)], Compute())
    assert puts == [2, 2, 1] and [int(array[0]) for array in found] == [0, 1, 2, 3, 4]


def test_a_part_with_a_bound_begins_anew_once_it_is_full(run: Run) -> None:
    kept = ArrayCache(run, "features", "v1")
    kept.fill(["a", "b"], lambda missing: (np.zeros(100_000) for _ in missing))
    assert kept.make_room(800_000, most=2_000_000) and set(kept.get("ab")) == {"a", "b"}
    assert not kept.make_room(1_600_000, most=1_500_000) and set(kept.get("ab")) == {"a", "b"}
    assert kept.make_room(800_000, most=1_500_000) and not kept.get("ab")
    kept.fill(["a"], lambda missing: (np.ones(10) for _ in missing))
    assert kept.get("a")["a"].all()


def test_a_flipped_bit_is_noticed_and_computed_again(tmp_path: Path) -> None:
    said = Said()
    run = Run(cache=tmp_path / "cache", progress=said)
    keys = [f"k{i}" for i in range(3)]
    ArrayCache(run, "toy", 1).fill(keys, Compute())
    [data] = (run.cache / "toy").glob("*.bin")
    content = bytearray(data.read_bytes())
    content[content.index(np.full(3, 1, np.float32).tobytes())] ^= 1
    data.write_bytes(content)
    assert sorted(ArrayCache(run, "toy", 1).get(keys)) == ["k0", "k2"]
    again = Compute()
    found = ArrayCache(run, "toy", 1).fill(keys, again)
    assert again.asked == [1] and [int(array[0]) for array in found] == [0, 1, 2]
    assert said.lines == [f"{run.cache / 'toy'}: is damaged; what is lost is computed again"]
    ArrayCache(run, "toy", 1).fill(keys, again)
    assert again.asked == [1] and len(said.lines) == 1


def test_a_cache_under_a_file_is_said_once_and_work_goes_on(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said = Said()
    run = Run(cache=tmp_path / "file" / "cache", progress=said)
    for name in ("one", "two"):
        found = ArrayCache(run, name, 1).fill(["a", "b", "a"], Compute())
        assert [int(array[0]) for array in found] == [0, 1, 0]
    [line] = said.lines
    assert "cannot be written (Not a directory)" in line and "AUDIOMATCH_CACHE" in line


@pytest.mark.parametrize("refusal", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_whatever_the_disk_refuses_commands_go_on(
    plugin: Callable[..., Registry],
    command: Command,
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    refusal: int,
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(refusal, "refused")

    plugin(toy=toy_plugin())
    monkeypatch.setattr(ArrayStore, "_append", refuse)
    bench = ("bench", corpus, "--matchers", "toy", "--folds", 2, "--out", tmp_path / "run")
    code, _, err = command(*bench)
    assert code == 0 and err.count("cannot be written (refused)") == 1


def test_a_cache_that_can_only_be_read_is_read(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    ArrayCache(run, "toy", 1).fill(["a"], Compute())
    monkeypatch.setattr(ArrayStore, "put", lambda self, *_: False)
    again = Compute()
    ArrayCache(run, "toy", 1).fill(["a", "b"], again)
    assert again.asked == [1]
