"""What predicting many clips costs a clip, and its memory: `python benchmarks/many_clips.py`.

Made-up recordings, each another, are predicted by a saved model in one command, for one number of
clips after another, each with a cache of its own.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import soundfile

RATE = 16_000
SECONDS = 1.0
TEXTS = 500


def write_corpus(folder: Path, count: int) -> Path:
    """Write so many recordings of noise, and their manifest."""
    folder.mkdir()
    names = [f"{i:06}.wav" for i in range(count)]
    for i, name in enumerate(names):
        noise = np.random.default_rng(i).normal(0, 0.1, int(RATE * SECONDS))
        soundfile.write(folder / name, noise, RATE)
    texts = [f"the text number {i % TEXTS}" for i in range(count)]
    manifest = folder / "clips.csv"
    pd.DataFrame({"audio": names, "expected_text": texts}).to_csv(manifest, index=False)
    return manifest


def run(*arguments: str, cache: Path) -> tuple[float, float]:
    """Run an audiomatch command; return its seconds, and the most MB resident of all processes."""
    environment = {**os.environ, "AUDIOMATCH_CACHE": str(cache)}
    command = [sys.executable, "-m", "audiomatch", *arguments]
    begun, peak = time.perf_counter(), 0.0
    process = psutil.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        peak = max(peak, _resident(process))
        time.sleep(0.1)
    if process.returncode:
        raise SystemExit(f"audiomatch {' '.join(arguments)}: exit code {process.returncode}")
    return time.perf_counter() - begun, peak


def _resident(process: psutil.Process) -> float:
    total = 0
    for one in (process, *process.children(recursive=True)):
        try:
            total += one.memory_info().rss
        except psutil.Error:
            continue
    return float(total) / 2**20


def main() -> None:
    """Print a row for each number of clips."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--matcher", default="xgboost:quick")
    parser.add_argument("--clips", default="1000,4000,16000")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        model = str(place / "model")
        run("fit", asked.matcher, "--limit", "60", "--out", model, cache=place / "fit")
        print("| clips | seconds | ms a clip | peak MB |\n|--:|--:|--:|--:|", flush=True)
        for count in map(int, asked.clips.split(",")):
            data = str(write_corpus(place / f"{count}", count))
            out, cache = str(place / f"{count}.csv"), place / f"cache-{count}"
            seconds, peak = run("predict", model, data, "--out", out, cache=cache)
            each = 1000 * seconds / count
            print(f"| {count:,} | {seconds:.1f} | {each:.1f} | {peak:.0f} |", flush=True)


if __name__ == "__main__":
    main()
