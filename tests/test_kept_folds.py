"""A kept fold is replayed only as it was written, for the clips it was written for."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import pytest
from pyarrow import parquet

from audiomatch import Run
from audiomatch.datasets.manifest import open_manifest
from audiomatch.folds import make_folds
from audiomatch.intake import admit
from audiomatch.plugins import Registry
from audiomatch.progress import QuietProgress
from audiomatch.records import FoldResult
from audiomatch.running.crossval import cross_validate
from audiomatch.running.entrants import enter
from audiomatch.running.executors import InlineExecutor
from audiomatch.running.folder import RunFolder
from audiomatch.running.identity import digest_of
from audiomatch.running.kept import COLUMNS, RECORD
from audiomatch.spec import MatcherSpec
from tests.toys import Toy, toy_plugin

Content = dict[str, Any]

FILES: dict[str, Callable[[Path], object]] = {
    "cut short": lambda file: file.write_bytes(file.read_bytes()[:-200]),
    "empty": lambda file: file.write_bytes(b""),
    "text": lambda file: file.write_text('{"schema_version": 1}'),
    "a flipped bit of a number": lambda file: file.write_bytes(_with_a_flipped_bit(file)),
    "a table of another's": lambda file: pd.DataFrame({"id": ["a"]}).to_parquet(file),
    "a record that is no JSON": lambda file: _store(file, _table(file), b"\xff"),
    "a record that is a list": lambda file: _store(file, _table(file), b"[]"),
    "a record nested too deep": lambda file: _store(file, _table(file), b"[" * 200_000),
    "a changed digit": lambda file: _edit(file, _another_digit, sealed=False),
    "NaN for a prediction": lambda file: _edit(file, _nan, sealed=True),
    "no prediction": lambda file: _store(file, _table(file).assign(p_match=None), _record(file)),
    "predictions that are text": lambda file: _store(
        file, _table(file).astype({"p_match": str}), _record(file)
    ),
    "a column too many": lambda file: _store(file, _table(file).assign(more=1), _record(file)),
    "another fold": lambda file: file.write_bytes(_other(file).read_bytes()),
    "a link to itself": lambda file: (file.unlink(), file.symlink_to(file)),
    "a link to nothing": lambda file: (file.unlink(), file.symlink_to("nowhere")),
}
CONTENTS: dict[str, Callable[[Content], object]] = {
    "another schema version": lambda kept: kept.update(schema_version=99),
    "no schema version": lambda kept: kept.pop("schema_version"),
    "no key": lambda kept: kept.pop("key"),
    "another key": lambda kept: kept.update(key="0" * 64),
    "no rows": lambda kept: (kept["ids"].clear(), kept["p_match"].clear()),
    "fewer clips": lambda kept: (kept["ids"].pop(), kept["p_match"].pop()),
    "clips of another fold": lambda kept: kept["ids"].__setitem__(0, "elsewhere.wav"),
    "a clip twice": lambda kept: kept["ids"].__setitem__(0, kept["ids"][1]),
    "a prediction above 1": lambda kept: kept["p_match"].__setitem__(0, 1.5),
    "no seconds": lambda kept: kept.pop("seconds_fit"),
    "seconds that are text": lambda kept: kept.update(seconds_predict="long"),
    "notes of no object": lambda kept: kept.update(notes=["scratch"]),
    "a failed fold": lambda kept: kept.update(status="failed", error="no", ids=[], p_match=[]),
    "no status": lambda kept: kept.pop("status"),
    "a field too many": lambda kept: kept.update(more=1),
}


def _table(file: Path) -> pd.DataFrame:
    return pd.read_parquet(file)


def _record(file: Path) -> bytes:
    return parquet.read_schema(file).metadata[RECORD]  # type: ignore[no-any-return]


def _store(file: Path, frame: pd.DataFrame, record: bytes) -> None:
    plain = [*frame] == COLUMNS.names and frame["p_match"].dtype == float
    table = pyarrow.Table.from_pandas(frame, COLUMNS if plain else None, preserve_index=False)
    parquet.write_table(table.replace_schema_metadata({RECORD: record}), file)


def _nan(kept: Content) -> None:
    kept["p_match"][0] = float("nan")


def _another_digit(kept: Content) -> None:
    kept["p_match"][0] = 0.25


def _with_a_flipped_bit(file: Path) -> bytes:
    data = bytearray(file.read_bytes())
    at = data.index(struct.pack("<d", _table(file)["p_match"][0]))
    data[at] ^= 1
    return bytes(data)


def _other(file: Path) -> Path:
    return next(other for other in file.parent.iterdir() if other.name.startswith("toy-0"))


def _edit(file: Path, change: Callable[[Content], object], sealed: bool) -> None:
    table, kept = _table(file), json.loads(_record(file))
    kept |= {"ids": table["id"].tolist(), "p_match": table["p_match"].tolist()}
    change(kept)
    ids, p_match = kept.pop("ids"), kept.pop("p_match")
    if sealed:
        seal = hashlib.sha256(digest_of({k: kept[k] for k in kept if k != "seal"}).encode())
        seal.update(json.dumps(ids).encode() + np.array(p_match, "<f8").tobytes())
        kept["seal"] = seal.hexdigest()
    frame = pd.DataFrame({"id": np.array(ids, object), "p_match": np.array(p_match, float)})
    _store(file, frame, json.dumps(kept).encode())


class Lines(QuietProgress):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, line: str) -> None:
        self.said.append(line)


@pytest.fixture
def again(
    plugin: Callable[..., Registry], corpus: Path, tmp_path: Path
) -> Callable[[], tuple[list[FoldResult], list[str]]]:
    """Cross-validate a toy, each time in one folder; gives the results and what was said."""
    registry = plugin(toy=toy_plugin())
    Toy.fits = 0
    clips = admit(open_manifest(corpus, True), Run(cache=tmp_path / "cache")).clips
    folds = make_folds(clips, 3)
    entrants = [e for e in enter(registry, [MatcherSpec("toy")]) if e.label == "toy"]

    def run() -> tuple[list[FoldResult], list[str]]:
        lines = Lines()
        settings = Run(cache=tmp_path / "cache", progress=lines)
        folder = RunFolder(tmp_path / "run", lines.say)
        results = cross_validate(entrants, folds, settings, folder, InlineExecutor())
        return results, lines.said

    return run


Again = Callable[[], tuple[list[FoldResult], list[str]]]


def _kept(tmp_path: Path) -> Path:
    (file,) = (tmp_path / "run" / "folds").glob("toy-1-*.parquet")
    return file


def _is_computed_again(again: Again, file: Path, before: list[FoldResult]) -> None:
    results, said = again()
    assert Toy.fits == 4
    assert len(said) == 1 and said[0].startswith(str(file)), said
    assert said[0].endswith("; computed again") and len(said[0].splitlines()) == 1
    assert [(r.ids, r.p_match) for r in results] == [(r.ids, r.p_match) for r in before]
    assert [r.replayed for r in results] == [True, False, True]
    assert again()[1] == [] and Toy.fits == 4, "the file was written anew"


@pytest.mark.parametrize("way", FILES)
def test_a_damaged_file_is_named_and_computed_again(again: Again, tmp_path: Path, way: str) -> None:
    before, _ = again()
    FILES[way](_kept(tmp_path))
    _is_computed_again(again, _kept(tmp_path), before)


@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize("way", CONTENTS)
def test_a_changed_fold_is_named_and_computed_again(
    again: Again, tmp_path: Path, way: str, sealed: bool
) -> None:
    before, _ = again()
    _edit(_kept(tmp_path), CONTENTS[way], sealed)
    _is_computed_again(again, _kept(tmp_path), before)


def test_a_folder_in_its_place_is_left_alone(again: Again, tmp_path: Path) -> None:
    before, _ = again()
    file = _kept(tmp_path)
    file.unlink()
    file.mkdir()
    results, said = again()
    assert Toy.fits == 4 and results[1].p_match == before[1].p_match
    assert [line.rpartition("; ")[2] for line in said] == ["computed again", "the fold is not kept"]
    assert all(str(file) in line for line in said)


def test_what_is_not_touched_is_replayed(again: Again) -> None:
    before, _ = again()
    results, said = again()
    assert Toy.fits == 3 and not said
    assert results == [result.model_copy(update={"replayed": True}) for result in before]


@pytest.fixture
def bench_again(
    plugin: Callable[..., Registry],
    command: Callable[..., tuple[int, str, str]],
    corpus: Path,
    tmp_path: Path,
) -> Callable[[], tuple[int, str, str]]:
    """The command that has written the run folder once, to be run again."""
    plugin(toy=toy_plugin())
    bench = ("bench", corpus, "--matchers", "toy", "--folds", 2, "--out", tmp_path / "run")
    assert command(*bench)[0] == 0
    return lambda: command(*bench)


def test_bench_says_so(bench_again: Callable[[], tuple[int, str, str]], tmp_path: Path) -> None:
    file = _kept(tmp_path)
    _edit(file, CONTENTS["no rows"], False)
    code, _, err = bench_again()
    assert code == 0 and "Traceback" not in err
    assert f"{file}: was changed after it was written; computed again\n" in err


def test_folds_of_an_older_release_are_named_and_left_alone(
    bench_again: Callable[[], tuple[int, str, str]], tmp_path: Path
) -> None:
    old = tmp_path / "run" / "folds" / "toy-0-0123456789abcdef.json"
    old.write_text('{"schema_version": 1, "matcher": "toy"}')
    code, _, err = bench_again()
    assert code == 0 and old.read_text().startswith("{")
    assert err.count("1 fold of an older release (.json), not replayed") == 1
