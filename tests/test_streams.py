"""Where the program starts and what it writes to may be closed, full or gone: one line, exit 2."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from audiomatch import ClipError
from audiomatch.audio import load_audio

PROGRAM = Path(sys.executable).with_name("audiomatch")
Command = Callable[..., tuple[int, str, str]]


def shell(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a line of a shell in which `audiomatch` is this environment's."""
    line = f"cd {shlex.quote(str(folder))}; {line}".replace("audiomatch", str(PROGRAM), 1)
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(["sh", "-c", line], capture_output=True, text=True, env=env, check=False)


def test_a_full_disk_behind_stdout_is_one_line(tmp_path: Path) -> None:
    found = shell("audiomatch datasets > /dev/full", tmp_path)
    assert found.returncode == 2
    assert found.stderr == "audiomatch: the answer cannot be written: No space left on device\n"


def test_streams_that_are_closed_hinder_nothing(tmp_path: Path) -> None:
    assert shell("audiomatch datasets <&- >&- 2>&-", tmp_path).returncode == 0
    found = shell("audiomatch predict none --out - >&-", tmp_path)
    assert found.returncode == 2
    assert found.stderr == "audiomatch: --out -: standard output is closed\n"


def test_a_folder_that_is_gone_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    found = shell("rmdir ../gone; audiomatch datasets", tmp_path / "gone")
    assert found.returncode == 2 and "Traceback" not in found.stderr
    assert "audiomatch: the current folder: No such file or directory" in found.stderr


def test_a_run_folder_of_another_version_is_left_alone(
    command: Command, corpus: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    bench = ("bench", corpus, "--matchers", "prior", "--folds", 2, "--out", run)
    assert command(*bench)[0] == 0
    newer = {**json.loads((run / "folds.json").read_text()), "schema_version": 2}
    (run / "folds.json").write_text(json.dumps(newer))
    code, _, err = command(*bench)
    assert code == 2 and "schema_version 2; this release reads 1; name another folder" in err
    assert json.loads((run / "folds.json").read_text()) == newer


def test_a_name_beyond_the_encoding_of_file_names_is_one_line() -> None:
    with pytest.raises(ClipError, match="beyond the system's encoding of file names"):
        load_audio("\ud800.wav")
