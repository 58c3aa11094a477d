"""What a process for each matcher costs: seconds of a comparison beside fitting and predicting.

python benchmarks/executors.py [MATCHERS] [--limit N] [--folds K] [--rounds N]
python benchmarks/executors.py --sending ROWS

Each matcher runs the same folds of mini-screener under `inline` and `process`, in turn, each time
in a fresh program, with the features cached. Said of each: the seconds until the
first fold is done and of a further one, without those of fitting and predicting, as the least of
the rounds; and whether the predictions are the same. The second form says what a fold of a table
of so many rows takes to be sent to a worker, as the least of five times.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import pickle
import subprocess
import sys
import tempfile
import time
from typing import Any

import numpy as np
import pandas as pd

from audiomatch.clips import DIGESTS, SECONDS, SOUNDS, Clips
from audiomatch.folds import make_folds
from audiomatch.inputs import take_in
from audiomatch.machine import make_run, wait_passively
from audiomatch.plugins import registry
from audiomatch.progress import QuietProgress
from audiomatch.running.entrants import enter
from audiomatch.running.executors import make_executor
from audiomatch.running.jobs import Job, run_job
from audiomatch.running.process import ProcessExecutor
from audiomatch.spec import parse_matcher, parse_matchers

MATCHERS = "ensemble:plain@members=(prior),xgboost:quick,whisper"


def measure(name: str, matcher: str, cache: str, limit: int, k: int) -> dict[str, Any]:
    """Return the seconds beside each fold's own work, the first with what comes before it."""
    run = make_run("cpu", cache=cache)
    clips = take_in(None, run, True, limit=limit)[0].clips
    folds, spec = make_folds(clips, k), parse_matcher(matcher)
    beside, predicted = [], []
    with make_executor(name, registry().executors()) as executor:
        enter(registry(), [], executor)  # the floors, which every comparison has
        began = time.perf_counter()
        (entrant,) = [e for e in enter(registry(), [spec], executor) if e.spec == spec]
        for fold in range(k):
            job = Job(entrant, fold, *folds.split(fold), run)
            result = executor.submit(run_job, job, QuietProgress()).result()
            assert result.done, result.error
            now = time.perf_counter()
            beside.append(now - began - result.seconds)
            predicted.append(result.p_match)
            began = now
    return {"first": beside[0], "further": min(beside[1:]), "predicted": predicted}


def sending(rows: int) -> tuple[float, float]:
    """Return the size in MiB of a fold of so many clips, and the seconds to a worker and back."""
    numbers = np.arange(rows)
    clips = Clips(
        pd.DataFrame(
            {
                "id": [f"clip-{i:08}.wav" for i in numbers],
                "audio": [f"/data/corpus/audio/clip-{i:08}.wav" for i in numbers],
                "expected_text": [f"the little dog ran over hill {i % 4000}" for i in numbers],
                "match": numbers % 2,
                "speaker": [f"speaker-{i % 3000}" for i in numbers],
            }
        )
    )
    sums = [hashlib.sha256(str(i).encode()).hexdigest() for i in numbers]
    clips.known = {SECONDS: np.ones(rows), DIGESTS: np.array(sums), SOUNDS: np.array(sums)}
    test = numbers % 5 == 0
    (entrant, *_) = enter(registry(), [])
    job = Job(entrant, 0, clips.take(~test), clips.take(test).unlabelled(), make_run("cpu"))
    seconds = []
    with ProcessExecutor() as executor:
        executor.submit(id, job).result()
        for _ in range(5):
            began = time.perf_counter()
            executor.submit(id, job).result()
            seconds.append(time.perf_counter() - began)
    return len(pickle.dumps(job)) / 2**20, min(seconds)


def in_fresh_program(*arguments: str) -> dict[str, Any]:
    """Run `measure` in a program of its own."""
    command = [sys.executable, __file__, "--measure", *arguments]
    found: dict[str, Any] = json.loads(subprocess.check_output(command))
    return found


def main() -> None:
    """Measure and print a line for each matcher and executor."""
    parser = argparse.ArgumentParser()
    parser.add_argument("matchers", nargs="?", default=MATCHERS)
    parser.add_argument("--limit", type=int, default=40)
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sending", type=int, metavar="ROWS")
    parser.add_argument("--measure", nargs=5, help=argparse.SUPPRESS)
    given = parser.parse_args()
    wait_passively()
    if given.sending:
        size, seconds = sending(given.sending)
        print(f"{size:.1f} MiB, {seconds:.2f} s")
        return
    if given.measure:
        name, matcher, cache, limit, k = given.measure
        print(json.dumps(measure(name, matcher, cache, int(limit), int(k))))
        return
    print("| matcher | executor | before and in the first fold, s | a further fold, s | numbers |")
    print("| --- | --- | --: | --: | --- |")
    with tempfile.TemporaryDirectory() as cache:
        for matcher in map(str, parse_matchers(given.matchers)):
            asked = (matcher, cache, str(given.limit), str(given.folds))
            inline = [in_fresh_program("inline", *asked) for _ in range(given.rounds + 1)]
            process = [in_fresh_program("process", *asked) for _ in range(given.rounds)]
            same = all(one["predicted"] == inline[0]["predicted"] for one in process)
            for name, found in (("inline", inline[1:]), ("process", process)):
                first, further = (min(one[what] for one in found) for what in ("first", "further"))
                said = "" if name == "inline" else "the same" if same else "differ"
                print(f"| {matcher} | {name} | {first:.2f} | {further:.3f} | {said} |", flush=True)


if __name__ == "__main__":
    main()
