"""Matchers that misbehave cost their own row: bench with workers, as a user runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest

from tests.conftest import write_corpus

PLUGINS = Path(__file__).with_name("bad_plugins")
PROGRAM = Path(sys.executable).with_name("audiomatch")
TIMEOUT, MEMORY = 12, 600
FLOORS = ("base-rate", "text-only")  # one that fits nothing, and one that does
# The cause that its row names, for each way to misbehave.
CAUSES = {
    "odd-error": "OddError: ",
    "base-error": "BaseError: out of the tree",
    "recursion": "RecursionError: ",
    "sys-exit": "SystemExit: 3",
    "os-exit": "the worker ended with exit code 3",
    "abort": "the worker was killed by signal 6 (SIGABRT)",
    "segfault": "the worker was killed by signal 11 (SIGSEGV)",
    "suicide": "the worker was killed by signal 9 (SIGKILL), as the system does where memory",
    "exit-in-thread": "the worker ended with exit code 7",
    "hang": f"no answer within {TIMEOUT} s (timeout)",
    "grow": f"MB of memory; allowed are {MEMORY}",
    "forked-crash": "the worker ended with exit code 4",
    "close-everything": "the worker ended with exit code 1",
    "nan": "predict gave nan for ",
    "out-of-range": "must be in [0, 1]",
    "too-short": "predict gave shape (17,) for 18 clips",
    "none": "predict gave shape () for 18 clips",
    "words": "could not convert string to float: ",
    "init-raises": "RuntimeError: not made",
    "init-exits": "the worker ended with exit code 5",
    "fingerprint-segfault": "the worker was killed by signal 11 (SIGSEGV)",
    "own-str": "RuntimeError: with a note",
    "bad-total": "could not convert string to float: 'many'",
}
# What harms nobody when it stays in the worker.
HARMLESS = (
    "fork-and-return",
    "print-garbage",
    "read-stdin",
    "change-state",
    "leave-thread",
    "spoil-clips",
    "refuses-exits",
)
# Another kind shows the same in less time.
SLOW = (
    "base-error", "recursion", "abort", "suicide", "exit-in-thread", "forked-crash", "none",
    "close-everything", "fingerprint-segfault", "read-stdin", "leave-thread", "out-of-range",
    "too-short", "words", "init-raises", "sys-exit",
)  # fmt: skip
SKIPPED = {
    "bad@how=no-weights": "no weights 'x'",
    "bad@size=99": "option 'size': input should be less than or equal to 9",
    "no-package": "No module named 'package_that_nobody_has'",
}
SHADOWS = ("random", "numpy", "json", "tempfile", "pandas", "package_that_nobody_has")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the plugin installed, and data beside files that shadow the library."""
    home = tmp_path_factory.mktemp("bad")
    facts = home / "site" / "audiomatch_bad-1.0.dist-info"
    facts.mkdir(parents=True)
    for file in PLUGINS.glob("*.py"):
        (home / "site" / file.name).symlink_to(file)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: audiomatch-bad\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[audiomatch]\nbad = audiomatch_bad\n")
    table = pd.read_csv(write_corpus(home / "data"))
    table.insert(0, "part", ["train", "test"] * (len(table) // 2))
    table["match"] = [0, 0, 1, 1] * (len(table) // 4)
    table.to_csv(home / "data" / "manifest.csv", index=False)
    for name in SHADOWS:
        shadow = f"open({str(home / 'executed')!r}, 'a').write({name!r})\n"
        (home / "data" / f"{name}.py").write_text(shadow)
    return home


def start(home: Path, *arguments: object) -> subprocess.Popen[str]:
    """Start `audiomatch bench` in the data's folder."""
    given = {"PYTHONPATH": str(home / "site"), "AUDIOMATCH_CACHE": str(home / "cache")}
    environment = {**os.environ, **given, "OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONSAFEPATH", None)
    return subprocess.Popen(
        [str(PROGRAM), "bench", "manifest.csv", *map(str, arguments)],
        cwd=home / "data", env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


class Answer:
    """What a bench of bad matchers beside a good one gave."""

    def __init__(self, home: Path, kinds: Iterable[str], folder: str) -> None:
        self.child = home / "child"
        named = [f"bad@how={how}" for how in (*kinds, f"leave-child:{self.child}")]
        named = ["good", "bad-import", *SKIPPED, *named, "bad"]
        limits = ("--executor", "process@idle=20", "--timeout", TIMEOUT, "--memory", MEMORY)
        self.folder = home / folder
        how = ("--split", "part", "--floors", ",".join(FLOORS), "--out", self.folder, "--json")
        program = start(home, "--matchers", ",".join(named), *how, *limits)
        self.out, self.err = program.communicate(timeout=500)
        self.code = program.returncode
        self.record = json.loads(self.out)
        self.rows = {row["matcher"]: row for row in self.record["rows"]}

    def predictions(self, matcher: str) -> list[float]:
        table = pd.read_parquet(self.folder / "predictions.parquet")
        return table[table["matcher"] == matcher]["p_match"].tolist()


@pytest.fixture(scope="module")
def answer(home: Path) -> Answer:
    return Answer(home, [how for how in (*CAUSES, *HARMLESS) if how not in SLOW], "run")


@pytest.fixture(scope="module")
def slow_answer(home: Path) -> Answer:
    return Answer(home, SLOW, "slow")


@pytest.mark.parametrize("how", [how for how in CAUSES if how not in SLOW])
def test_a_bad_matcher_costs_its_own_row_with_the_cause_named(answer: Answer, how: str) -> None:
    row = answer.rows[f"bad@how={how}"]
    assert row["status"] == "failed", row
    assert CAUSES[how] in row["errors"][0]["error"]


@pytest.mark.slow
@pytest.mark.parametrize("how", SLOW)
def test_so_does_each_other_kind(slow_answer: Answer, how: str) -> None:
    row = slow_answer.rows[f"bad@how={how}"]
    assert row["status"] == ("done" if how in HARMLESS else "failed"), row
    assert how in HARMLESS or CAUSES[how] in row["errors"][0]["error"]


@pytest.mark.parametrize("how", [*(how for how in HARMLESS if how not in SLOW), "leave-child"])
def test_what_it_changes_stays_in_its_worker(answer: Answer, how: str) -> None:
    rows = [row for name, row in answer.rows.items() if name.startswith(f"bad@how={how}")]
    assert [row["status"] for row in rows] == ["done"], answer.err


def test_code_that_ends_the_process_on_import(answer: Answer) -> None:
    row = answer.rows["bad-import"]
    assert row["status"] == "failed"
    assert "the worker ended with exit code 8" in row["errors"][0]["error"]


@pytest.mark.parametrize("matcher", SKIPPED)
def test_what_cannot_be_had_is_skipped_with_the_reason(answer: Answer, matcher: str) -> None:
    row = answer.rows[matcher]
    assert row["status"] == "skipped" and SKIPPED[matcher] in row["errors"][0]["error"]
    line = f"{matcher}: skipped: "
    assert answer.err.count(line) == 1
    kept = json.loads((answer.folder / "run.json").read_text())["results"]
    assert {r["status"] for r in kept if r["matcher"] == matcher} == {"skipped"}
    assert SKIPPED[matcher].split()[-1].strip("'") in (answer.folder / "report.html").read_text()


def test_the_rest_is_complete_and_the_same(answer: Answer, home: Path) -> None:
    assert answer.code == 1 and "Traceback" not in answer.err
    for name in ("good", "bad", *FLOORS):
        assert answer.rows[name]["status"] == "done", name
    assert answer.predictions("good") == answer.predictions("bad")
    alone = start(
        *(home, "--matchers", "good", "--split", "part", "--out", home / "alone"),
        *("--floors", ",".join(FLOORS), "--executor", "inline"),
    )
    _, err = alone.communicate(timeout=200)
    assert alone.returncode == 0, err
    table = pd.read_parquet(home / "alone" / "predictions.parquet")
    for matcher, part in table.groupby("matcher"):
        assert part["p_match"].tolist() == answer.predictions(str(matcher)), matcher


def test_progress_of_a_worker_is_shown_and_its_output_is_no_answer(answer: Answer) -> None:
    assert "good has learned" in answer.err
    assert "garbage" in answer.err and "a fork goes on" in answer.err
    assert "rows" in answer.record and len(answer.record["rows"]) > 20


def test_nothing_is_imported_from_the_folder_of_the_data(answer: Answer, home: Path) -> None:
    assert not (home / "executed").exists(), (home / "executed").read_text()


def test_what_a_worker_started_ends_with_it(answer: Answer) -> None:
    assert gone(int(answer.child.read_text()))


def test_a_lost_worker_costs_one_fold(home: Path) -> None:
    how = (
        "--executor",
        "process",
        "--matchers",
        f"bad@how=once:{home / 'once'}",
        "--folds",
        2,
        "--floors",
        "none",
        "--json",
    )
    program = start(home, *how, "--out", home / "lost")
    out, err = program.communicate(timeout=200)
    rows = {row["matcher"]: row for row in json.loads(out)["rows"]}
    row = rows[f"bad@how=once:{home / 'once'}"]
    assert program.returncode == 1, err
    assert (row["status"], row["folds_done"], row["folds_failed"]) == ("partial", 1, 1)
    assert row["errors"][0]["error"] == "the worker ended with exit code 9"


def test_what_stops_a_run_before_it_begins(home: Path) -> None:
    how = ("--out", home / "none", "--strict", "--executor", "process")
    program = start(home, "--matchers", "good,bad@how=no-weights", *how)
    out, err = program.communicate(timeout=200)
    assert program.returncode == 2 and not out
    assert err == "audiomatch: no weights 'x'\n" and not (home / "none").exists()


def gone(pid: int, seconds: float = 8) -> bool:
    """Whether a process ends within some seconds; one that nobody waits for counts as ended."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False


SIGNALS = {"SIGKILL": -9, "SIGTERM": 143, "SIGHUP": 129, "SIGINT": 130}


@pytest.fixture(scope="module")
def waiting(home: Path) -> Iterator[Callable[[str], tuple[Any, list[int], Path]]]:
    """Start a bench for a signal; its matcher waits in the second fold."""
    programs = {}
    # A shell's background job ignores SIGINT, and so would what it starts.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def of(name: str) -> tuple[Any, list[int], Path]:
        how = ("--matchers", f"bad@how=wait:{home / name}", "--folds", 2, "--floors", "none")
        where = ("--out", home / f"run-{name}", "--cache", home / f"cache-{name}")
        programs[name] = start(home, *how, *where)
        until = time.monotonic() + 200
        while not (home / name).exists() and time.monotonic() < until:
            time.sleep(0.1)
        return programs[name], [*map(int, (home / name).read_text().split())], home

    yield of
    signal.signal(signal.SIGINT, before)
    for program in programs.values():
        program.kill()
        program.communicate()


# SIGHUP is handled as SIGTERM is.
@pytest.mark.parametrize(
    "name", ["SIGKILL", "SIGTERM", "SIGINT", pytest.param("SIGHUP", marks=pytest.mark.slow)]
)
def test_no_process_outlives_a_run(
    waiting: Callable[[str], tuple[Any, list[int], Path]], name: str
) -> None:
    program, pids, home = waiting(name)
    everyone = [child.pid for child in psutil.Process(program.pid).children(recursive=True)]
    assert set(pids) <= set(everyone)
    program.send_signal(getattr(signal, name))
    _, err = program.communicate(timeout=200)
    assert program.returncode == SIGNALS[name], err
    assert [pid for pid in everyone if not gone(pid)] == []
    kept = [file.name for file in (home / f"run-{name}" / "folds").glob("*.parquet")]
    assert any(file.startswith("bad") for file in kept), "finished folds are kept"
    if name != "SIGKILL":
        assert err.splitlines()[-1].startswith("audiomatch: stopped; what is finished is kept")
        assert "Traceback" not in err
        places = [home / f"run-{name}", home / f"cache-{name}"]
        hidden = {file.name for place in places for file in place.rglob(".*")}
        assert hidden <= {".lock"}, "half-written files are gone"
