"""What SIGKILL costs: `python benchmarks/kills.py`.

Commands are killed at random moments and started again in the same place. Every few kills one is
left to end, and its results must be those of a command that nobody disturbed. Counted are results
that differ, files left behind, and processes that outlive a killed command by five seconds.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

MARK = "AUDIOMATCH_BENCHMARK_KILLS"
GRACE = 5.0  # seconds that processes may live on
LOCK = ".lock"  # of a run folder, which stays
A_ROUND = 5  # kills before a command is left to end


@dataclass
class Count:
    """What became of the kills of one command."""

    kills: int = 0
    ended: int = 0
    other_results: int = 0
    files_left: int = 0
    processes_left: int = 0


def start(arguments: list[str], folder: Path) -> subprocess.Popen[bytes]:
    """Start an audiomatch command whose processes can be found again, silent."""
    environment = {
        **os.environ,
        MARK: folder.name,
        "AUDIOMATCH_CACHE": str(folder / "cache"),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "audiomatch", *arguments]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=quiet, stderr=quiet)


def alive(folder: Path) -> list[int]:
    """Return the processes that descend from a command of this folder (Linux)."""
    found = []
    wanted = f"{MARK}={folder.name}".encode()
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (place / "environ").read_bytes().split(b"\0"):
                found.append(int(place.name))
        except OSError:
            continue
    return found


def wait_for_orphans(folder: Path) -> int:
    """Return how many processes are still there after the grace."""
    until = time.monotonic() + GRACE
    while alive(folder) and time.monotonic() < until:
        time.sleep(0.1)
    left = alive(folder)
    for process in left:
        os.kill(process, signal.SIGKILL)
    return len(left)


def hidden(folder: Path) -> set[str]:
    """Return the temporary files and folders beside and in the results, the run's lock aside."""
    inside = (path for path in folder.rglob(".*") if "cache" not in path.parts)
    return {str(path.relative_to(folder)) for path in inside if path.name != LOCK}


def torture(arguments: list[str], kills: int, read: Callable[[Path], object]) -> Count:
    """Kill a command `kills` times in all, in rounds that end undisturbed."""
    count, rng = Count(), random.Random(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        begun = time.monotonic()
        if start(arguments, folder).wait() != 0:
            raise SystemExit(f"audiomatch {' '.join(arguments)}: failed undisturbed")
        usual = time.monotonic() - begun
        wanted = read(folder)
    while count.kills < kills:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for _ in range(A_ROUND):
                process = start(arguments, folder)
                try:
                    process.wait(rng.uniform(0.05, 1.0) * usual)
                    count.ended += 1
                    continue
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                count.kills += 1
                count.processes_left += wait_for_orphans(folder)
            code = start(arguments, folder).wait()
            count.other_results += code != 0 or read(folder) != wanted
            count.files_left += len(hidden(folder))
    return count


def main() -> None:
    """Print a row a command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bench", type=int, default=50, help="kills of bench")
    parser.add_argument("--others", type=int, default=20, help="kills of fit, and of predict")
    parser.add_argument("--matchers", default="xgboost:quick,lightgbm:quick")
    parser.add_argument("--limit", default="90", help="clips of mini-screener")
    asked = parser.parse_args()
    first = asked.matchers.partition(",")[0]

    def predictions(folder: Path) -> object:
        table = pd.read_parquet(folder / "run" / "predictions.parquet")
        return table.to_csv(index=False)

    def model(folder: Path) -> object:
        inside = sorted((folder / "model").rglob("*"))
        return {
            path.name: path.read_bytes() for path in inside
            if path.is_file() and path.name != "audiomatch.json"
        }  # fmt: skip

    with tempfile.TemporaryDirectory() as name:
        fitted = Path(name) / "fitted" / "model"
        limit = ["--limit", asked.limit]
        bench = ["bench", "--matchers", asked.matchers, "--folds", "3", "--out", "run", *limit]
        fit = ["fit", first, "--out", "model", *limit]
        predict = ["predict", str(fitted), "--out", "p.csv", *limit]
        fitted.parent.mkdir()
        start([*fit[:3], str(fitted), *limit], fitted.parent).wait()
        shutil.rmtree(fitted.parent / "cache", ignore_errors=True)
        jobs: list[tuple[str, list[str], int, Callable[[Path], object]]] = [
            ("bench", bench, asked.bench, predictions),
            ("fit", fit, asked.others, model),
            ("predict", predict, asked.others, lambda folder: (folder / "p.csv").read_text()),
        ]
        print("| command | kills | ended first | other results | files left | processes left |")
        print("|:--|--:|--:|--:|--:|--:|")
        for label, arguments, kills, read in jobs:
            one = torture(arguments, kills, read)
            print(
                f"| {label} | {one.kills} | {one.ended} | {one.other_results} "
                f"| {one.files_left} | {one.processes_left} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
