"""What broken and hostile input does: `python benchmarks/fuzz.py --inputs 100000`.

Good inputs of each kind are damaged by a seed and read, by a worker that is forked once all is
imported and again after a crash. An input is refused by a `UserError`, or accepted: a model that
is accepted also predicts. Faults are: any other error and a refusal of several lines or without
end (`failed`), a worker that ended (`crashed`), thirty seconds without an answer (`hung`), and more
memory for one input than `MEGABYTES` (`grew`). Each is printed with the command that shows it
again, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import select
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
sys.path.insert(0, str(Path(__file__).parents[1]))

from audiomatch import UserError
from benchmarks.fuzzing.kinds import MAKERS, Kind

SECONDS, MEGABYTES = 30.0, 512.0
ADDRESSES = 24 * 2**30  # bytes that a worker may map: this machine goes on whatever is asked for
LONGEST = 2_200  # characters of a refusal
MEMORY = ("MemoryError", "DefaultCPUAllocator", "bad_alloc")
RESULTS = ("refused", "accepted", "failed", "crashed", "hung", "grew")
SHOWN = 5


def read_one(kind: Kind, seed: int) -> tuple[str, str]:
    """Return the result of one input, and what to say of it."""
    made = kind.make(random.Random(f"{kind.name} {seed}"))
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew
    before = _peak()
    result, problem = "accepted", ""
    try:
        kind.read(made)
    except UserError as error:
        result, problem = "refused", str(error)
        if len(problem.splitlines()) > 1 or len(problem) > LONGEST:
            result = "failed"
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a fault
        where = traceback.extract_tb(error.__traceback__)[-1]
        problem = f"{type(error).__name__}: {error} ({where.filename}:{where.lineno})"
        result = "failed"
    grown = _peak() - before
    if grown > MEGABYTES or any(word in problem for word in MEMORY):
        result, problem = "grew", f"{grown:.0f} MB; {problem}"
    return result, problem


def _peak() -> float:
    """Return the high-water mark of resident memory in MB."""
    with Path("/proc/self/status").open() as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024


def work(kind: Kind, seeds: range, out: int) -> None:
    """Read the inputs of some seeds, and write a line before and after each."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    with os.fdopen(out, "w") as lines:
        for seed in seeds:
            lines.write(f"{seed}\n")
            lines.flush()
            start = time.perf_counter()
            result, problem = read_one(kind, seed)
            seconds = time.perf_counter() - start
            said = ascii(problem[:400]) if result not in ("refused", "accepted") else ""
            lines.write(f"{seed} {seconds:.4f} {_peak():.0f} {result} {said}\n")


def results(kind: Kind, seeds: range) -> Iterator[tuple[int, float, float, str, str]]:
    """Give seed, seconds, peak memory, result and what is to be said, with fresh workers."""
    at = seeds.start
    while at < seeds.stop:
        source, target = os.pipe()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                os.close(source)
                work(kind, range(at, seeds.stop), target)
                code = 0
            finally:
                os._exit(code)
        os.close(target)
        begun, hung = at - 1, True
        with os.fdopen(source) as lines:
            while select.select([lines], [], [], SECONDS)[0]:
                line = lines.readline()
                if not line:
                    hung = False
                    break
                if len(fields := line.rstrip("\n").split(" ", 4)) == 1:
                    begun = int(line)
                else:
                    at = int(fields[0]) + 1
                    yield at - 1, float(fields[1]), float(fields[2]), fields[3], fields[4]
        if hung:
            os.kill(pid, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if at < seeds.stop:
            why = ("hung", "") if hung else ("crashed", f"the worker ended with {status}")
            yield begun, SECONDS if hung else 0.0, 0.0, *why
            at = begun + 1


def run_kind(kind: Kind, seeds: range, group: str) -> bool:
    """Print the row of a kind; returns whether there was no fault."""
    count: Counter[str] = Counter()
    slowest = peak = 0.0
    start = time.perf_counter()
    for seed, seconds, memory, result, said in results(kind, seeds):
        count[result] += 1
        slowest, peak = max(slowest, seconds), max(peak, memory)
        if result not in RESULTS[:2] and sum(count[one] for one in RESULTS[2:]) <= SHOWN:
            again = f"--group {group} --kind {kind.name!r} --seed {seed} --inputs 1"
            print(f"{result}: {said} (benchmarks/fuzz.py {again})", file=sys.stderr, flush=True)
    took = time.perf_counter() - start
    cells = [f"{len(seeds):,}", *(f"{count[one]:,}" for one in RESULTS)]
    print(f"| {kind.name} | {' | '.join(cells)} | {took:.0f} | {slowest:.2f} | {peak:.0f} |")
    sys.stdout.flush()
    return not any(count[one] for one in RESULTS[2:])


def main() -> int:
    """Print a row a kind, and every fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=10_000, help="of all kinds together")
    parser.add_argument("--seed", type=int, default=0, help="the first of each kind")
    names = [maker.__name__ for maker in MAKERS]
    parser.add_argument("--group", choices=names, help="only the kinds made together")
    parser.add_argument("--kind", help="only kinds whose name holds this, each with all inputs")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    heads = ["input", "tried", *RESULTS, "s", "slowest, s", "peak, MB"]
    print(f"| {' | '.join(heads)} |\n|:--|{'--:|' * (len(heads) - 1)}", flush=True)
    whole = True
    with tempfile.TemporaryDirectory() as name:
        for maker in MAKERS:
            if asked.group not in (None, maker.__name__):
                continue
            place = Path(name) / maker.__name__
            place.mkdir()
            for kind in maker(place):
                if asked.kind is None or asked.kind in kind.name:
                    share = 100 if asked.kind else kind.share
                    many = max(1, round(asked.inputs * share / 100))
                    whole &= run_kind(kind, range(asked.seed, asked.seed + many), maker.__name__)
    return 0 if whole else 1


if __name__ == "__main__":
    sys.exit(main())
