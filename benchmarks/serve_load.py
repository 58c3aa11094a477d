"""How `audiomatch serve` bears load: latency, throughput and lost requests by concurrent clients.

    audiomatch fit whisper --limit 200 --out model
    python benchmarks/serve_load.py model

Starts the server with and without batching. Each client sends its next clip of mini-screener, 2.5
to 3.5 s long, as soon as the last one is answered. Prints a table of Markdown.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import numpy as np

from audiomatch.clips import Clips
from audiomatch.inputs import open_data

CLIENTS = (1, 4, 16, 64)
BATCHES = (16, 1)


@contextlib.contextmanager
def serving(model: Path, batch: int) -> Iterator[str]:
    """Run the server; give its address once it is warm."""
    main = "from audiomatch.cli import main; main()"
    program = [sys.executable, "-c", main, "serve", str(model), "--port", "0"]
    program += ["--max-batch", str(batch)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().split(" at ")[1].split()[0]
            while httpx.get(f"{address}health").status_code != 200:
                time.sleep(0.1)
            yield address
        finally:
            process.terminate()


async def load(
    address: str, clips: list[tuple[bytes, str]], clients: int, words: bool, seconds: float
) -> tuple[list[float], int]:
    """Return the seconds of each request that was answered, and how many were lost."""
    found: list[float] = []
    lost = 0
    stop = time.perf_counter() + seconds

    async def one(client: httpx.AsyncClient, number: int) -> None:
        nonlocal lost
        while time.perf_counter() < stop:
            audio, text = clips[number % len(clips)]
            number += clients
            started = time.perf_counter()
            try:
                answer = await client.post(
                    "/v1/score",
                    files={"audio": ("clip", audio)},
                    data={"text": text, "words": str(words).lower()},
                )
                good = answer.status_code == 200
            except httpx.HTTPError:
                good = False
            if good:
                found.append(time.perf_counter() - started)
            else:
                lost += 1

    limits = httpx.Limits(max_connections=clients)
    async with httpx.AsyncClient(base_url=address, limits=limits, timeout=120) as client:
        await asyncio.gather(*(one(client, i) for i in range(clients)))
    return found, lost


def short_clips(clips: Clips) -> list[tuple[bytes, str]]:
    """Return file and text of the clips of about 3 s."""
    return [
        (path.read_bytes(), text)
        for path, text, seconds in zip(clips.paths, clips.texts, clips.seconds, strict=True)
        if 2.5 <= seconds <= 3.5
    ]


def measure(
    address: str, clips: list[tuple[bytes, str]], clients: int, words: bool, seconds: float
) -> str:
    """Return the cells of one load: p50, p95, clips a second, answered, lost."""
    started = time.perf_counter()
    found, lost = asyncio.run(load(address, clips, clients, words, seconds))
    rate = len(found) / (time.perf_counter() - started)
    p50, p95 = np.percentile(found, (50, 95))
    return f"{p50:.2f} | {p95:.2f} | {rate:.2f} | {len(found)} | {lost}"


def main() -> None:
    """Measure every load and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--seconds", type=float, default=10, help="of each load")
    given = parser.parse_args()
    clips = short_clips(open_data("mini-screener", labelled=False).clips)
    print("| words | --max-batch | clients | p50 s | p95 s | clips a second | answered | lost |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for batch in BATCHES:
        with serving(given.model, batch) as address:
            for words in (True, False):
                for clients in CLIENTS:
                    cells = measure(address, clips, clients, words, given.seconds)
                    print(f"| {'yes' if words else 'no'} | {batch} | {clients} | {cells} |")
                    sys.stdout.flush()


if __name__ == "__main__":
    main()
