"""Records: read as they were written, checked, described."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from audiomatch import UserError, records
from audiomatch.plugins import Registry
from audiomatch.records import (
    FileRecord,
    FoldResult,
    FoldsRecord,
    Leaderboard,
    Record,
    RunRecord,
    Scores,
)
from audiomatch.scoring import METRICS
from tests.toys import toy_plugin

Command = Callable[..., tuple[int, str, str]]


def kinds(base: type[Record] = Record) -> Iterator[type[Record]]:
    """Give every kind of record."""
    for kind in base.__subclasses__():
        yield kind
        yield from kinds(kind)


@pytest.mark.parametrize("kind", list(kinds()), ids=lambda kind: kind.__name__)
def test_every_field_is_described_and_none_can_be_set(kind: type[Record]) -> None:
    assert all(field.description for field in kind.model_fields.values())
    assert kind.model_config["frozen"] and kind.model_config["extra"] == "forbid"


def test_scores_hold_every_metric() -> None:
    ends = {
        f"{name}{end}" for name in (*METRICS, "calibration_error") for end in ("", "_low", "_high")
    }
    more = {"n", "groups", "recall_at_precision", "calibration_error_chance"}
    assert set(Scores.model_fields) == {*more, *ends}


@pytest.fixture
def folder(plugin: Callable[..., Registry], command: Command, corpus: Path, tmp_path: Path) -> Path:
    """A run folder."""
    plugin(toy=toy_plugin())
    bench = ("bench", corpus, "--matchers", "toy", "--folds", 2, "--out", tmp_path / "run")
    assert command(*bench)[0] == 0
    return tmp_path / "run"


def test_each_file_of_a_run_is_a_record(folder: Path) -> None:
    files: list[tuple[type[FileRecord], Path]] = [
        (Leaderboard, folder / "leaderboard.json"),
        (RunRecord, folder / "run.json"),
        (FoldsRecord, folder / "folds.json"),
    ]
    for kind, file in files:
        record = kind.read(file)
        assert next(iter(json.loads(file.read_text()))) == "schema_version"
        copy = folder / "copy.json"
        record.write(copy)
        assert copy.read_bytes() == file.read_bytes() and kind.read(copy) == record
    board = Leaderboard.read(folder / "leaderboard.json")
    run = RunRecord.read(folder / "run.json")
    assert {result.matcher for result in run.results} == {row.matcher for row in board.rows}


def test_a_leaderboard_answers_by_name(folder: Path) -> None:
    board = Leaderboard.read(folder / "leaderboard.json")
    row = board.row("toy")
    assert row.matcher == "toy" and row.seconds == row.seconds_fit + row.seconds_predict
    there, back = board.difference("toy", "prior"), board.difference("prior", "toy")
    assert there.difference == pytest.approx(row.log_loss - board.row("prior").log_loss)
    assert (back.a, back.b, back.n) == ("prior", "toy", 36) and back == there.reversed()
    with pytest.raises(UserError, match="no row 'toi'; did you mean 'toy'"):
        board.row("toi")
    with pytest.raises(UserError, match="no row 'toi'"):
        board.difference("prior", "toi")
    with pytest.raises(UserError, match="toy and toy cannot be compared"):
        board.difference("toy", "toy")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda text: text[:50], "is no JSON, or was cut short"),
        (lambda text: text.replace('"n": 36', '"n": NaN', 1), "is no JSON, or was cut short"),
        (lambda text: "[]", "has no schema_version; this release reads 2"),
        (lambda text: text.replace('_version": 2', '_version": 1'), "has schema_version 1; this"),
        (lambda text: text.replace('"n": 36', '"n": "36"', 1), "n: Input should be a valid int"),
        (lambda text: text.replace('"rows"', '"lines"', 1), "rows: Field required"),
    ],
)
def test_a_file_that_is_anything_else_is_refused_in_one_line(
    folder: Path, change: Callable[[str], str], says: str
) -> None:
    file = folder / "leaderboard.json"
    file.write_text(change(file.read_text()))
    with pytest.raises(UserError) as refused:
        Leaderboard.read(file)
    assert str(refused.value).startswith(f"{file}: ") and says in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1
    with pytest.raises(UserError, match="is no regular file"):
        Leaderboard.read(folder)


def made(**change: Any) -> FoldResult:
    facts = {"matcher": "toy", "fold": 0, "status": "done", "clips_predict": 2}
    cost = {"seconds_fit": 1.0, "seconds_predict": 0.5}
    return FoldResult(**{**facts, **cost, "ids": ("a", "b"), "p_match": (0.1, 0.9), **change})


@pytest.mark.parametrize(
    "change",
    [
        {"ids": ("a",)},
        {"p_match": (0.1, 1.1)},
        {"p_match": (0.1, float("nan"))},
        {"clips_predict": 3},
        {"seconds_fit": None},
        {"error": "but no failure"},
        {"status": "failed"},
        {"status": "failed", "error": "no", "clips_predict": 2},
        {"status": "over"},
        {"fold": -1},
        {"colour": "red"},
    ],
)
def test_a_fold_that_contradicts_itself_cannot_be_made(change: dict[str, Any]) -> None:
    assert made().done and made().seconds == 1.5
    with pytest.raises(ValidationError):
        made(**change)


def test_notes_are_read_by_name() -> None:
    result = made(notes={"weights": "scratch", "peak_gpu_memory_mb": 3, "warning": "short"})
    assert (result.weights, result.warning, result.peak_gpu_memory_mb) == ("scratch", "short", 3.0)
    assert made().weights is made().warning is made().peak_gpu_memory_mb is None
    assert made(notes={"peak_gpu_memory_mb": "much"}).peak_gpu_memory_mb is None
    with pytest.raises(ValidationError):
        made().fold = 1  # type: ignore[misc]


def test_what_is_public_is_listed() -> None:
    ours = [kind for kind in kinds() if kind.__module__.startswith(records.__name__)]
    public = {kind.__name__ for kind in ours if not kind.__name__.startswith("_")}
    assert public <= set(records.__all__)
