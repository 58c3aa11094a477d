"""What broken and hostile input does: `python benchmarks/fuzz.py --inputs 100000`.

Good inputs of each kind are damaged by a seed (bytes changed, cut, repeated, put in; numbers and
words of JSON replaced) and read. An input is refused by a `UserError`, or accepted. Any other
error, a refusal of several lines, ten seconds or 512 MB for one input is a fault: it is printed
with its seed, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import collections
import io
import json
import random
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import soundfile

import audiomatch
from audiomatch import UserError
from audiomatch.decoding import decode
from audiomatch.inputs import open_data
from audiomatch.model import CARD
from audiomatch.records import FoldsRecord, RunRecord
from audiomatch.spec import parse_matchers

SECONDS, MEGABYTES = 10.0, 512.0
# What is put in the place of a value, and in the middle of bytes.
VALUES = (None, True, -1, 0, 1e308, 10**30, "", "\0", "x" * 10_000, [], {}, [[]], "NaN", "../../x")
BYTES = (
    b"\0",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b'"',
    b"\n",
    b"\r",
    b"\xef\xbb\xbf",
    b",",
    b"\x1b[31m",
    b"=1+1",
    b"\xe2\x80\xae",
    b"1e999",
    b"]" * 500,
    b"[" * 5_000,
)
AUDIO = (
    ("WAV", "PCM_16"),
    ("WAV", "FLOAT"),
    ("W64", "PCM_16"),
    ("RF64", "PCM_24"),
    ("AIFF", "PCM_16"),
    ("AU", "PCM_16"),
    ("CAF", "ALAC_16"),
    ("FLAC", "PCM_16"),
    ("OGG", "VORBIS"),
    ("OGG", "OPUS"),
    ("MP3", "MPEG_LAYER_III"),
    ("WAV", "GSM610"),
)
SPECS = ("whisper:quick@epochs=1@lr=3e-5", "ensemble@members=(xgboost@rounds=3,prior)", "a,b,c")


@dataclass
class Kind:
    """A kind of input: what makes a damaged one of a seed, and what reads it."""

    name: str
    make: Callable[[random.Random], object]
    read: Callable[[object], object]
    share: int


def damaged(good: bytes, rng: random.Random) -> bytes:
    """Return bytes that were changed in up to four places, mostly near the start."""
    data = bytearray(good)
    for _ in range(rng.randint(1, 4)):
        at = min(
            int(rng.expovariate(1 / 60)) if rng.random() < 0.6 else rng.randrange(len(data) + 1),
            len(data),
        )
        how = rng.randrange(5)
        if how == 0 and at < len(data):
            data[at] = rng.randrange(256)
        elif how == 1:
            data[at:at] = rng.choice(BYTES)
        elif how == 2:
            del data[at : at + rng.randint(1, 64)]
        elif how == 3:
            data[at:at] = data[at : at + rng.randint(1, 200)]
        elif rng.random() < 0.3:
            del data[at:]
        else:
            data[at : at + 4] = rng.choice(BYTES)[:4]
    return bytes(data)


def replaced(content: object, rng: random.Random) -> object:
    """Return JSON in which one value, at a depth by chance, is another or is gone."""
    if isinstance(content, dict) and content and rng.random() < 0.85:
        key = rng.choice(list(content))
        if rng.random() < 0.1:
            return {name: value for name, value in content.items() if name != key}
        return {**content, key: replaced(content[key], rng)}
    if isinstance(content, list) and content and rng.random() < 0.7:
        at = rng.randrange(len(content))
        return [*content[:at], replaced(content[at], rng), *content[at + 1 :]]
    return rng.choice(VALUES)


def damaged_json(good: bytes, rng: random.Random) -> bytes:
    """Return JSON with another value, or its bytes damaged."""
    if rng.random() < 0.3:
        return damaged(good, rng)
    return json.dumps(replaced(json.loads(good), rng)).encode()


def encoded(kind: str, subtype: str) -> bytes:
    """Return a quarter of a second of noise in a format."""
    noise = np.random.default_rng(0).normal(0, 0.1, 4_000).astype(np.float32)
    file = io.BytesIO()
    soundfile.write(file, noise, 16_000, format=kind, subtype=subtype)
    return file.getvalue()


def kinds(place: Path) -> list[Kind]:
    """Return all kinds, with good inputs to damage, in a folder of their own."""
    (place / "a.wav").write_bytes(encoded("WAV", "PCM_16"))
    rows = pd.DataFrame(
        {
            "audio": ["a.wav"] * 6,
            "expected_text": list("abcdef"),
            "match": [0, 1] * 3,
            "speaker": ["x", None] * 3,
            "start": [0.0, 0.1] * 3,
        }
    )
    tables = {
        ".csv": rows.to_csv(index=False).encode(),
        ".tsv": rows.to_csv(index=False, sep="\t").encode(),
        ".jsonl": rows.to_json(orient="records", lines=True).encode(),
        ".parquet": rows.to_parquet(),
    }
    sounds = [encoded(*kind) for kind in AUDIO]
    model = audiomatch.fit("prior", "mini-screener", limit=40).save(place / "model")
    run = audiomatch.compare(
        "mini-screener", "prior", folds=2, limit=40, out=place / "run", executor="inline"
    )
    assert run.folder is not None
    files = [file for file in model.iterdir() if file.suffix == ".json"]
    parts = {file: file.read_bytes() for file in files}
    record, made = ((place / "run" / name).read_bytes() for name in ("run.json", "folds.json"))

    def table(rng: random.Random) -> Path:
        ending = rng.choice(list(tables))
        file = place / f"table{ending}"
        file.write_bytes(damaged(tables[ending], rng))
        return file

    def folder(rng: random.Random) -> Path:
        other = place / "other"
        shutil.rmtree(other, ignore_errors=True)
        shutil.copytree(model, other)
        chosen = rng.choice(files)
        changed = damaged_json(parts[chosen], rng)
        (other / chosen.name).write_bytes(changed)
        if chosen.name != CARD and rng.random() < 0.8:  # as one who knows of the seal would
            card = json.loads(parts[model / CARD])
            (other / CARD).write_text(json.dumps({**card, "files": None}))
        return other

    def kept(good: bytes, kind: type[FoldsRecord] | type[RunRecord]) -> Kind:
        def make(rng: random.Random) -> Path:
            file = place / "record.json"
            file.write_bytes(damaged_json(good, rng))
            return file

        return Kind(kind.__name__, make, lambda file: kind.read(Path(str(file))), 8)

    return [
        Kind(
            "recordings",
            lambda rng: damaged(rng.choice(sounds), rng),
            lambda data: decode(bytes(data), "clip"),
            35,
        ),  # type: ignore[call-overload]
        Kind("tables", table, lambda file: open_data(Path(str(file)), None).clips.segments, 25),
        Kind(
            "specs",
            lambda rng: damaged(rng.choice(SPECS).encode(), rng).decode(errors="replace"),
            lambda text: parse_matchers(str(text)),
            14,
        ),
        Kind("models", folder, lambda path: audiomatch.load(str(path)).card, 10),
        kept(record, RunRecord),
        kept(made, FoldsRecord),
    ]


def main() -> int:
    """Print a row a kind, and every fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    process, faults = psutil.Process(), 0
    print("| input | tried | refused | accepted | faults | slowest, s |\n|:--|--:|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as name:
        for kind in kinds(Path(name)):
            count: collections.Counter[str] = collections.Counter()
            slowest, many = 0.0, asked.inputs * kind.share // 100
            for seed in range(asked.seed, asked.seed + many):
                made = kind.make(random.Random(seed))
                before, start, problem = process.memory_info().rss, time.monotonic(), ""
                try:
                    kind.read(made)
                    count["accepted"] += 1
                except UserError as error:
                    count["refused"] += 1
                    if len(str(error).splitlines()) != 1 or len(str(error)) > 2_100:
                        problem = f"refused in other than one line: {str(error)[:300]!r}"
                except Exception as error:  # noqa: BLE001 - whatever it is, it is a fault
                    problem = f"{type(error).__name__}: {str(error)[:300]}"
                seconds = time.monotonic() - start
                grown = (process.memory_info().rss - before) / 2**20
                slowest = max(slowest, seconds)
                if seconds > SECONDS or grown > MEGABYTES:
                    problem = problem or f"took {seconds:.1f} s and {grown:.0f} MB"
                if problem:
                    count["faults"] += 1
                    if count["faults"] <= 5:
                        print(f"{kind.name}, seed {seed}: {problem}", file=sys.stderr)
            faults += count["faults"]
            print(
                f"| {kind.name} | {many:,} | {count['refused']:,} | {count['accepted']:,} "
                f"| {count['faults']} | {slowest:.2f} |",
                flush=True,
            )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
