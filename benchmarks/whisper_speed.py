"""How fast a matcher trains and predicts, and what memory it takes, against `whisper:baseline`.

    python benchmarks/whisper_speed.py DATA --clips 64 --repeats 3 \
        --matchers whisper,whisper@encoder_layers=quarter

DATA is labelled speech (so762). Every measurement is a process of its own on an empty cache
(`speed_of_one.py`), and the matchers take turns, so that a busy machine slows all of them; ratios
are taken within a turn.

- Training: passes over clips a second of `fit`, all that it does included. Weights are loaded
  before the first task that `fit` shows, so the seconds up to it are given too.
- Prediction: clips a second of `predict`; cold computes the spectrograms, warm is the second call.
- Texts: the same recordings, each with several texts; their cost is that over one text's, warm.
- Memory: the process's peak while it trains or predicts, what training takes of it beyond Python
  and its libraries, and the peak GPU memory.

Each matcher is measured as it ships, and with so many clips of the longest length in a forward
pass (`--batch`, `--batches`); with `--one-length`, clips are drawn of the most common padded
length alone, so that every pass holds as many. `--sizes` takes random weights: speed does not
depend on them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from audiomatch import Run
from audiomatch.clips import Clips
from audiomatch.datasets import choose_dataset
from audiomatch.errors import UserError
from audiomatch.files import write_json
from audiomatch.intake import admit
from audiomatch.machine import resolve_device, versions
from audiomatch.plugins import registry
from audiomatch.spec import parse_matcher, parse_matchers

STEP_SECONDS = 0.5  # what clips are padded to a multiple of
RATES = {
    "train": ("passes_per_second", "fit_seconds", "seconds_to_first_task"),
    "predict": ("cold_clips_per_second", "warm_clips_per_second"),
}
MEMORY = ("peak_memory_mb", "memory_taken_mb", "peak_gpu_memory_mb")
CHILD = Path(__file__).with_name("speed_of_one.py")
Measured = dict[str, Any]


def plan(asked: argparse.Namespace) -> list[list[Measured]]:
    """Return the turns: the same measurement of every matcher, the reference first."""
    specs = [parse_matcher(asked.reference), *parse_matchers(asked.matchers)]
    whole = [
        *[("train", count, 1) for count in (0, asked.batch)],
        *[("predict", count, 1) for count in (0, *sorted({asked.batch, *asked.batches}))],
        *[("predict", 0, count) for count in asked.texts if count != 1],
    ]
    turns = []
    for size in asked.sizes or [""]:
        sized = [
            spec.with_option("size", size).with_option("weights", "scratch") if size else spec
            for spec in specs
        ]
        for repeat in range(asked.repeats):
            turns += [
                [
                    {"size": size, "repeat": repeat, "part": part, "clips_a_pass": count,
                     "texts": texts, "named": str(named), "matcher": str(spec)}
                    for named, spec in zip(specs, sized, strict=True)
                ]
                for part, count, texts in whole if part in asked.parts
            ]  # fmt: skip
    return turns


def in_a_process(job: Measured, folder: Path, seconds: float | None = None) -> Measured:
    """Measure in a fresh interpreter; one that fails, or takes longer, gives `error`."""
    place = folder / "job.json"
    write_json(place, job)
    threads = {"OMP_NUM_THREADS": str(job["threads"])} if job["threads"] else {}
    try:
        done = subprocess.run(
            [sys.executable, str(CHILD), str(place)],
            capture_output=True, text=True, env={**os.environ, **threads}, timeout=seconds,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"error": "the time was over"}
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        return {"error": said[-1]}
    found: Measured = json.loads(done.stdout.splitlines()[-1])
    return found


def draw(asked: argparse.Namespace, cache: Path) -> Clips:
    """Draw the clips that are measured; both labels are among them."""
    info, path = choose_dataset(registry().datasets(), asked.data, None)
    clips = info.open(path, True)
    generator = np.random.default_rng(asked.seed)
    order = generator.permutation(len(clips))
    run = Run(cache=cache, workers=os.cpu_count() or 1)
    if asked.one_length:
        clips = admit(clips.take(order), run).clips
        steps = np.ceil(clips.seconds / STEP_SECONDS).to_numpy()
        lengths, counts = np.unique(steps, return_counts=True)
        clips = clips.take(np.flatnonzero(steps == lengths[counts.argmax()])[: asked.clips])
    else:
        clips = admit(clips.take(order[: asked.clips]), run).clips
    if len(clips) < asked.clips or len(set(clips.labels)) < 2:
        raise UserError(f"{asked.data}: {len(clips)} of {asked.clips} clips, or of one label only")
    return clips


def summarise(measured: list[Measured], reference: str) -> list[Measured]:
    """Return medians over the repeats, and their ratios to the reference, taken turn by turn."""
    kinds = ("size", "part", "clips_a_pass", "texts")
    groups: dict[tuple, dict[str, list[Measured]]] = {}
    for one in measured:
        group = groups.setdefault(tuple(one[kind] for kind in kinds), {})
        group.setdefault(one["named"], []).append(one)
    rows = []
    for group, by_matcher in groups.items():
        for named, own in by_matcher.items():
            row: Measured = {**dict(zip(kinds, group, strict=True)), "matcher": named}
            errors = {one["error"] for one in own if "error" in one}
            if errors:
                row["error"] = "; ".join(sorted(errors))
            for measure in (*RATES[row["part"]], *MEMORY):
                values = [one[measure] for one in own if one.get(measure) is not None]
                if values:
                    row[measure] = statistics.median(values)
                if named != reference:
                    row[f"{measure}_ratio"] = ratio(own, by_matcher[reference], measure)
            one_text = groups.get((row["size"], row["part"], row["clips_a_pass"], 1), {})
            if row["texts"] > 1 and named in one_text:
                row["cost_of_texts"] = ratio(one_text[named], own, "warm_clips_per_second")
            rows.append({key: value for key, value in row.items() if value is not None})
    return rows


def ratio(own: list[Measured], base: list[Measured], measure: str) -> list[float] | None:
    """Return the median of the ratios within each turn, the least and the most."""
    found = [
        one[measure] / other[measure]
        for one, other in zip(own, base, strict=True)
        if one.get(measure) and other.get(measure)
    ]
    return [statistics.median(found), min(found), max(found)] if found else None


def show(row: Measured) -> str:
    """Say a row of the summary in a line."""
    how = f"{row['clips_a_pass']} clips a pass" if row["clips_a_pass"] else "as it ships"
    how += f", {row['texts']} texts" if row["texts"] > 1 else ""
    parts = []
    for measure in (*RATES[row["part"]], *MEMORY):
        if measure in row:
            compared = spread(row.get(f"{measure}_ratio"))
            parts.append(f"{measure.replace('_', ' ')} {row[measure]:.4g}{compared}")
    if "cost_of_texts" in row:
        parts.append(f"against one text{spread(row['cost_of_texts'])}")
    parts += [f"failed: {row['error']}"] if "error" in row else []
    return f"{row['size']} {row['part']}, {how}: {row['matcher']}: {'; '.join(parts)}".strip()


def spread(found: list[float] | None) -> str:
    return " (x {:.2f}, {:.2f} to {:.2f})".format(*found) if found else ""


def arguments() -> argparse.ArgumentParser:
    def names(text: str) -> list[str]:
        return [part for part in text.split(",") if part]

    def counts(text: str) -> list[int]:
        return [int(part) for part in names(text)]

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="labelled speech")
    parser.add_argument("--matchers", default="whisper,whisper@encoder_layers=quarter")
    parser.add_argument("--reference", default="whisper:baseline")
    parser.add_argument("--sizes", type=names, help="with random weights, as in small,large-v3")
    parser.add_argument("--parts", type=names, default=["train", "predict"])
    parser.add_argument("--clips", type=int, default=64, help="to train on and to predict")
    parser.add_argument("--one-length", action="store_true", help="clips of one padded length")
    parser.add_argument("--batch", type=int, default=16, help="clips a forward pass, compared")
    parser.add_argument("--batches", type=counts, default=[1, 4, 16, 64], help="to predict in")
    parser.add_argument("--texts", type=counts, default=[1, 10], help="candidates of a recording")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="auto", choices=("auto", "fp32", "bf16", "fp16"))
    parser.add_argument("--threads", type=int, help="of the CPU, for each process")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="JSON file for the results")
    return parser


def compare(asked: argparse.Namespace) -> Measured:
    common = {
        "device": resolve_device(asked.device),
        "precision": asked.precision,
        "threads": asked.threads,
        "seed": asked.seed,
    }
    turns = plan(asked)
    measured = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clips = draw(asked, folder / "cache")
        clips.frame.to_parquet(folder / "clips.parquet")
        common["clips"] = str(folder / "clips.parquet")
        for turn in turns:
            for job in turn:
                measured.append({**job, **in_a_process({**job, **common}, folder)})
                print(json.dumps(measured[-1]), file=sys.stderr, flush=True)
    seconds = clips.seconds
    return {
        "command": f"python benchmarks/whisper_speed.py {' '.join(sys.argv[1:])}",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {asked.device}",
        "versions": versions(),
        "clips": len(clips),
        "audio_seconds": {"mean": float(seconds.mean()), "longest": float(seconds.max())},
        "reference": str(parse_matcher(asked.reference)),
        "summary": summarise(measured, str(parse_matcher(asked.reference))),
        "measured": measured,
    }


def main() -> None:
    parser = arguments()
    asked = parser.parse_args()
    try:
        results = compare(asked)
    except UserError as error:
        parser.error(str(error))
    for row in results["summary"]:
        print(show(row))
    if asked.out:
        write_json(asked.out, results)


if __name__ == "__main__":
    main()
