"""What waiting passively gives where other programs run: seconds of one command, as a ratio.

python benchmarks/shared_machine.py [MATCHERS] [--limit N] [--beside N] [--rounds N]

Runs `audiomatch bench` on mini-screener beside N busy processes, in turn with OpenMP's own waiting
(libgomp spins, GOMP_SPINCOUNT's default) and as the command sets it (OMP_WAIT_POLICY=PASSIVE).
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

# Wins over OMP_WAIT_POLICY in libgomp; the number is its default where nothing is set.
WAYS = {"spinning": {"GOMP_SPINCOUNT": "300000"}, "passive": {}}


def seconds(way: str, matchers: str, limit: int) -> float:
    """Run the comparison once, in a fresh run folder and with a warm cache."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", "from audiomatch.cli import main; main()", "bench"]
        options = ["--matchers", matchers, "--limit", str(limit), "--folds", "2", "--out", folder]
        began = time.perf_counter()
        subprocess.run(
            [*command, *options], env=os.environ | WAYS[way], check=True, capture_output=True
        )
        return time.perf_counter() - began


def main() -> None:
    """Measure and print each way's median and the ratio."""
    parser = argparse.ArgumentParser()
    parser.add_argument("matchers", nargs="?", default="whisper")
    parser.add_argument("--limit", type=int, default=60)
    parser.add_argument("--beside", type=int, default=1, help="busy processes beside it")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        os.environ["AUDIOMATCH_CACHE"] = cache
        busy = [
            subprocess.Popen([sys.executable, "-c", "while True: pass"])
            for _ in range(given.beside)
        ]
        try:
            seconds("passive", given.matchers, given.limit)  # fills the cache
            found: dict[str, list[float]] = {way: [] for way in WAYS}
            for _ in range(given.rounds):
                for way, times in found.items():
                    times.append(seconds(way, given.matchers, given.limit))
        finally:
            for process in busy:
                process.kill()
    medians = {way: statistics.median(times) for way, times in found.items()}
    for way, times in found.items():
        print(f"{way}: {' '.join(f'{t:.1f}' for t in times)} s, median {medians[way]:.1f}")
    print(f"spinning / passive: {medians['spinning'] / medians['passive']:.2f}")


if __name__ == "__main__":
    main()
