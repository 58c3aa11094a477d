"""What a process for each matcher costs: seconds of a job beyond fitting and predicting.

python benchmarks/executors.py [MATCHERS] [--limit N] [--folds K] [--rounds N]

Runs the same folds of mini-screener under `inline` and `process`, in turn, and says of each
matcher what its first fold and a further one take beside its own work, and whether the predictions
are the same. The first fold under `process` starts the worker, imports the matcher's code there and
ends the worker of the matcher before.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence

from audiomatch.clips import Clips
from audiomatch.folds import make_folds
from audiomatch.inputs import take_in
from audiomatch.machine import make_run, wait_passively
from audiomatch.matcher import Run
from audiomatch.plugins import registry
from audiomatch.progress import QuietProgress
from audiomatch.running.entrants import enter
from audiomatch.running.executors import make_executor
from audiomatch.running.jobs import Job, run_job
from audiomatch.spec import MatcherSpec, parse_matchers

Measured = dict[tuple[str, int], tuple[float, tuple[float, ...]]]
MATCHERS = "ensemble@members=(prior),xgboost:quick,whisper:quick"


def measure(name: str, specs: Sequence[MatcherSpec], clips: Clips, run: Run, k: int) -> Measured:
    """Return of each matcher and fold the seconds beside its own work, and the predictions."""
    folds = make_folds(clips, k)
    found: Measured = {}
    with make_executor(name, registry().executors()) as executor:
        for entrant in enter(registry(), specs, executor):
            for fold in range(k) if entrant.spec in specs else ():
                job = Job(entrant, fold, *folds.split(fold), run)
                began = time.perf_counter()
                result = executor.submit(run_job, job, QuietProgress()).result()
                taken = time.perf_counter() - began
                assert result.done, result.error
                found[entrant.label, fold] = taken - result.seconds, result.p_match
    return found


def main() -> None:
    """Measure and print a line for each matcher."""
    parser = argparse.ArgumentParser()
    parser.add_argument("matchers", nargs="?", default=MATCHERS)
    parser.add_argument("--limit", type=int, default=40)
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    wait_passively()
    specs = parse_matchers(given.matchers)
    with tempfile.TemporaryDirectory() as cache:
        run = make_run("cpu", cache=cache)
        clips = take_in(None, run, True, limit=given.limit)[0].clips
        how = (specs, clips, run, given.folds)
        measure("inline", *how)  # fills the cache
        rounds = [{name: measure(name, *how) for name in ("inline", "process")} for _ in
                  range(given.rounds)]  # fmt: skip
    print("| matcher | executor | first fold, s | a further fold, s | predictions |")
    print("| --- | --- | --: | --: | --- |")
    for spec in map(str, specs):
        folds = [(spec, fold) for fold in range(given.folds)]
        same = all(one["inline"][f][1] == one["process"][f][1] for one in rounds for f in folds)
        for name in ("inline", "process"):
            first = statistics.median(one[name][folds[0]][0] for one in rounds)
            other = statistics.median(one[name][f][0] for one in rounds for f in folds[1:])
            said = "" if name == "inline" else "the same" if same else "differ"
            print(f"| {spec} | {name} | {first:.2f} | {other:.3f} | {said} |")


if __name__ == "__main__":
    main()
