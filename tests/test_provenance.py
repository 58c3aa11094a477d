"""`run.json` says where its figures come from."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

import audiomatch
from audiomatch import machine
from audiomatch.records import RunRecord
from tests.toys import leave_out_slow_floors, toy_plugin

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def registry(plugin: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_out_slow_floors(plugin(toy=toy_plugin()), monkeypatch)


@pytest.mark.usefixtures("registry")
def test_a_run_tells_how_it_was_asked_and_what_computed_it(
    command: Command, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    typed = ("bench", corpus, "--matchers", "toy", "--folds", 2, "--columns", "match=match")
    assert command(*typed, "--seed", 3, "--out", tmp_path / "run")[0] == 0
    run = RunRecord.read(tmp_path / "run" / "run.json")
    assert run.command[: len(typed) + 1] == ("audiomatch", *map(str, typed))
    wanted = {"folds": 2, "columns": {"match": "match"}, "seed": 3, "group": "expected_text"}
    assert wanted.items() <= run.arguments.items()
    assert not {"data", "matchers", "device", "out", "cache", "progress"} & set(run.arguments)
    assert run.packages["numpy"] == version("numpy") and "pytest" in run.packages
    assert {"audiomatch", "toy"} <= set(run.code)
    assert all(len(digest) == 64 for digest in run.code.values())
    assert run.machine.processor and run.machine.cores == machine.default_workers()
    assert run.machine.threads["OMP_NUM_THREADS"] == "1"
    assert str(tmp_path / "run") in run.command
    assert str(tmp_path / "run") not in (tmp_path / "run" / "report.html").read_text()


@pytest.mark.usefixtures("registry")
def test_a_run_asked_for_by_python_has_no_command(corpus: Path, tmp_path: Path) -> None:
    found = audiomatch.compare(
        *(corpus, ["toy"]),
        folds=2,
        floors="none",
        out=tmp_path / "run",
        negatives=None,
        executor="inline",
    )
    assert found.run.command == () and found.run.arguments["folds"] == 2


@pytest.mark.usefixtures("registry")
def test_the_record_of_an_earlier_release_is_read(
    command: Command, corpus: Path, tmp_path: Path
) -> None:
    file = tmp_path / "run" / "run.json"
    typed = ("bench", corpus, "--matchers", "toy", "--folds", 2, "--out", tmp_path / "run")
    assert command(*typed)[0] == 0
    content = json.loads(file.read_text())
    for name in ("packages", "code", "machine", "command", "arguments"):
        del content[name]
    file.write_text(json.dumps(content))
    assert RunRecord.read(file).arguments == {}
    assert command("leaderboard", tmp_path / "run")[0] == 0
    assert command(*typed)[0] == 0 and RunRecord.read(file).arguments["folds"] == 2


def test_the_processor_is_told_by_the_system(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "cpuinfo"
    core = "processor\t: {}\nmodel name\t: A Fast One\nflags\t\t: fpu avx2 sse avx512_bf16 fma\n\n"
    file.write_text(core.format(0) + core.format(1))
    monkeypatch.setattr(machine, "CPUINFO", file)
    found = machine.machine_record()
    assert found.processor == "A Fast One"
    assert found.instructions == ("avx2", "avx512_bf16", "fma")
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "none")
    assert machine.machine_record().instructions == ()
    assert machine.machine_record().processor
