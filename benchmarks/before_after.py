"""CPU seconds of a model's predictions by two checkouts, in turns, and their ratio.

    python benchmarks/before_after.py DATA --before OTHER/.venv/bin/python --clips 64 --turns 7

DATA is labelled speech (so762). Each checkout is a process with one thread; in every turn each is
asked once, so that a busy machine slows both. What is asked:

- N (a number): the recordings with N texts each, their spectrograms kept, evidence and states not.
- single: the clips one by one, nothing kept of any: sound, speech detector and spectrogram too.
- start: `audiomatch score CLIP TEXT`, from the start of the process to its end, caches filled.

The largest difference of the two checkouts' probabilities is given too.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ANSWERS = ("whisper-evidence", "whisper-states")  # parts of the cache
ALL = (*ANSWERS, "log-mel", "speech")


class Checkout:
    """The process of a checkout, which computes what it is asked."""

    def __init__(self, python: str, asked: argparse.Namespace, cache: Path) -> None:
        command = [python, __file__, asked.data, "--serve", str(cache), "--model", asked.model]
        command += ["--clips", str(asked.clips)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment()
        )

    def ask(self, what: str) -> tuple[float, list[float]]:
        """Return the CPU seconds that it took, and the probabilities."""
        assert self.process.stdin is not None and self.process.stdout is not None
        print(what, file=self.process.stdin, flush=True)
        seconds, p = json.loads(self.process.stdout.readline())
        return seconds, p


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def serve(asked: argparse.Namespace) -> None:
    """Answer on standard output what is asked on standard input."""
    from speed_of_one import with_texts
    from whisper_speed import draw

    import audiomatch
    from audiomatch import Run

    asked.seed, asked.one_length = 0, False
    clips = draw(asked, asked.serve)
    matcher = audiomatch.load(asked.model).matcher
    run = Run(cache=asked.serve, workers=1, device="cpu")
    for line in sys.stdin:
        what = line.strip()
        if what == "start":
            print(json.dumps(start(asked.model, clips.paths[0], clips.texts[0])), flush=True)
            continue
        parts = [with_texts(clips, 1 if what == "single" else int(what)).unlabelled()]
        if what == "single":
            parts = [parts[0].take(np.array([i])) for i in range(len(clips))]
        for part in ALL if what == "single" else ANSWERS:  # would be found, and not computed
            shutil.rmtree(asked.serve / part, ignore_errors=True)
        begun = time.process_time()
        p = np.concatenate([matcher.predict(part, run) for part in parts])
        print(json.dumps([time.process_time() - begun, p.tolist()]), flush=True)


def start(model: str, recording: Path, text: str) -> list[Any]:
    command = [sys.executable, "-m", "audiomatch", "score", str(recording), text]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [*command, "--model", model, "--json"], capture_output=True, text=True, check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return [seconds, done.stdout]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="labelled speech")
    parser.add_argument("--before", help="the interpreter of another checkout; none: this alone")
    parser.add_argument("--model", default="whisper:ready")
    parser.add_argument("--ask", default="1,10,single,start")
    parser.add_argument("--clips", type=int, default=64)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        serve(asked)
        return
    with tempfile.TemporaryDirectory() as name:
        pythons = [asked.before, sys.executable] if asked.before else [sys.executable]
        pairs = enumerate(pythons)
        checkouts = [Checkout(python, asked, Path(name, str(i))) for i, python in pairs]
        wanted = asked.ask.split(",")
        for what in wanted:
            for one in checkouts:
                one.ask(what)  # what a process does once, and its cache
        seconds: dict[str, list[list[float]]] = {what: [] for what in wanted}
        for _ in range(asked.turns):
            for what in wanted:
                found = [one.ask(what) for one in checkouts]
                seconds[what].append([own for own, _ in found])
                if what != "start" and len(found) > 1:
                    apart = np.abs(np.subtract(found[0][1], found[1][1])).max()
                    print(what, f"largest difference of p {apart:.1e}", file=sys.stderr)
        for one in checkouts:
            one.process.stdin.close()
            one.process.wait()
    tables = {what: np.array(rows) for what, rows in seconds.items()}  # (turns, checkouts)
    for what, rows in tables.items():
        line = f"{what}: CPU s {np.median(rows, 0).round(3).tolist()}"
        if rows.shape[1] > 1:
            line += f", after by before {spread(rows[:, 1] / rows[:, 0])}"
        if what.isdigit() and what != "1" and "1" in tables:
            costs = [spread(own) for own in (rows / tables["1"]).T]
            line += f"; of one text's {' and '.join(costs)}"
        print(line)


def spread(ratios: Any) -> str:
    return f"x {np.median(ratios):.2f} ({ratios.min():.2f} to {ratios.max():.2f})"


if __name__ == "__main__":
    main()
