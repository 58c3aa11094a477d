"""A run folder has one writer, holds nothing of others, and what was killed blocks nobody."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from audiomatch.plugins import Registry
from audiomatch.running.folder import only_writer
from tests.toys import Toy, leave_out_slow_floors, toy_plugin

Command = Callable[..., tuple[int, str, str]]
HOLD = """
import sys, time
from pathlib import Path
from audiomatch.running.folder import only_writer
with only_writer(Path(sys.argv[1]), shared=len(sys.argv) > 2):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def bench(
    command: Command,
    plugin: Callable[..., Registry],
    monkeypatch: pytest.MonkeyPatch,
    corpus: Path,
    tmp_path: Path,
) -> Callable[..., tuple[int, str]]:
    leave_out_slow_floors(plugin(toy=toy_plugin()), monkeypatch)
    Toy.fits = 0

    def run(*more: object) -> tuple[int, str]:
        out = ("--folds", 2, "--out", tmp_path / "run", *more)
        code, _, err = command("bench", corpus, "--matchers", "toy", *out)
        return code, err

    return run


def test_a_second_run_is_refused_until_the_first_is_gone(
    bench: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, folder], stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout and first.stdout.readline() == "held\n"
        for more in ((), ("--fold", 1)):
            code, err = bench(*more)
            assert code == 2 and Toy.fits == 0
            assert err.strip().endswith(
                f"--out {folder}: another run is writing it (process {first.pid}); "
                "wait for it, or name another folder"
            )
        first.kill()
    assert bench()[0] == 0 and Toy.fits == 2


def test_single_folds_are_computed_side_by_side(
    bench: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    with only_writer(tmp_path / "run", shared=True):
        assert bench("--fold", 1)[0] == 0 and bench("--fold", 2)[0] == 0
        assert (tmp_path / "run" / "report.html").is_file()
        code, err = bench()
        assert code == 2 and "another run is writing it" in err


@pytest.mark.parametrize("name", ["report.html", "folds", "leaderboard.json"])
def test_files_of_others_are_not_written_over(
    bench: Callable[..., tuple[int, str]], tmp_path: Path, name: str
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    (tmp_path / "run" / name).write_text("mine")
    code, err = bench()
    assert code == 2 and f"holds {name}, but is no run folder; name another folder" in err
    assert (tmp_path / "run" / name).read_text() == "mine" and Toy.fits == 0
    (tmp_path / "run" / name).unlink()
    assert bench()[0] == 0 and (tmp_path / "run" / "notes.txt").read_text() == "mine"
