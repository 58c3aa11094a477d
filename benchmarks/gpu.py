"""What a GPU gains: clips a second and peak memory of `whisper` by size, and of other matchers.

    python benchmarks/gpu.py --out results/gpu

One call, which ends after ten minutes (`--minutes`). For each size `whisper`, with its encoder
frozen and with a quarter of it trained, fits and predicts clips of mini-screener, and so does the
recipe, `whisper:baseline`; then each other matcher of the bench as it ships. Each is measured in a
process of its own (`speed_of_one.py`), the small ones first; what there was no time for is said. A
size whose weights are not on this machine has random ones of its shape, with the vocabulary of
tiny.en where that is installed: quick or slow does not depend on what they say. `64x1` is a Whisper
of width 64 with a layer a side, which reads bytes. Where there is no network, HF_HUB_OFFLINE=1
spares the search for weights on the hub.

Loading the weights is left out of the rates. Fitting decodes the clips and computes their
spectrograms; predicting finds them. `--out` names a Markdown table and a JSON file of all of it.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from audiomatch_whisper.net.modules import WhisperNetwork
from audiomatch_whisper.net.weights import (
    SIZES,
    Size,
    Whisper,
    find_whisper,
    read_text_side,
    scratch_shape,
)
from audiomatch_whisper.sound.mel_filters import MelExtractor
from audiomatch_whisper.text.tokenizer import WhisperTokenizer
from whisper_speed import in_a_process

from audiomatch import Run
from audiomatch.clips import Clips
from audiomatch.errors import UserError, WeightsError
from audiomatch.files import write_json
from audiomatch.inputs import take_in
from audiomatch.machine import resolve_device, versions
from audiomatch.spec import MatcherSpec, parse_matcher, parse_matchers

REFERENCE = "whisper:baseline"
OWN = "whisper,whisper@encoder_layers=quarter"
BENCH = "clap:quick,two-tower:quick,ctc:quick,phones,xgboost,lightgbm,ensemble"
LEAST = 20.0  # seconds that a measurement is begun with
Measured = dict[str, Any]


def weights_of(size: str, folder: Path) -> tuple[str, str]:
    """Return the folder of a size's weights, and where they are from; random ones are written."""
    try:
        found = find_whisper("auto", size)
        return str(found.folder), found.name
    except (WeightsError, KeyError):
        pass
    if "x" in size:
        width, layers = map(int, size.split("x"))
        whisper = random_whisper(Size(width, layers, layers), WhisperTokenizer.of_bytes())
    else:
        whisper = random_whisper(SIZES[size], tokenizer_at_hand())
    own = folder / size
    own.mkdir()
    whisper.save(own)
    return str(own), "random"


def tokenizer_at_hand() -> WhisperTokenizer:
    try:
        return read_text_side(find_whisper("auto", "tiny.en"))[0]
    except WeightsError:
        return WhisperTokenizer.of_bytes()


def random_whisper(size: Size, tokenizer: WhisperTokenizer) -> Whisper:
    torch.manual_seed(0)
    network = WhisperNetwork(scratch_shape(size, tokenizer)).start()
    return Whisper(network, tokenizer, MelExtractor(size.mels))


def plan(asked: argparse.Namespace, folder: Path) -> Iterator[tuple[Measured, MatcherSpec]]:
    """Give what is measured, in order: the sizes, each with the recipe first, then the bench."""
    own = [parse_matcher(asked.reference), *(parse_matchers(asked.own) if asked.own else [])]
    for size in asked.sizes:
        place, origin = weights_of(size, folder)
        for spec in own:
            named = {"size": size, "matcher": str(spec), "weights": origin}
            yield named, spec.with_option("weights", place)
    for spec in parse_matchers(asked.bench) if asked.bench else []:
        yield {"size": "", "matcher": str(spec)}, spec


def measure(asked: argparse.Namespace, folder: Path) -> Measured:
    began = time.monotonic()
    device = resolve_device(asked.device)
    clips = take_in(None, Run(cache=folder / "cache"), True, limit=asked.clips)[0].clips
    clips.frame.to_parquet(folder / "clips.parquet")
    common = {
        **{"part": "both", "texts": 1, "clips_a_pass": 0, "threads": None, "seed": 0},
        **{"device": device, "precision": "auto", "clips": str(folder / "clips.parquet")},
    }
    rows = []
    for named, spec in plan(asked, folder):
        left = 60 * asked.minutes - (time.monotonic() - began)
        if left < LEAST:
            row = {**named, "error": "there was no time for it"}
        else:
            found = in_a_process({**common, "matcher": str(spec)}, folder, left)
            row = {**found, **named}
        rows.append(row)
        print(row, file=sys.stderr, flush=True)
    return {
        "command": f"python benchmarks/gpu.py {' '.join(sys.argv[1:])}",
        "machine": machine(device),
        "versions": versions(),
        "clips": facts(clips),
        "measured": rows,
    }


def machine(device: str) -> str:
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else device
    return f"{platform.machine()}, {os.cpu_count()} cores, {name}"


def facts(clips: Clips) -> Measured:
    return {"count": len(clips), "mean_seconds": float(clips.seconds.mean())}


def markdown(found: Measured, reference: str) -> str:
    """Return the table: clips a second and memory, in brackets over that of the recipe."""
    lines = [
        f"`{found['command']}`: {found['machine']}, torch {found['versions'].get('torch')}, "
        f"{found['clips']['count']} clips of {found['clips']['mean_seconds']:.1f} s.",
        "",
        "| size | matcher | weights | fit, clips/s | memory, MB | predict, clips/s | memory, MB |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    known = {row["size"]: row for row in found["measured"] if row["matcher"] == reference}
    for row in found["measured"]:
        names = f"| {row['size']} | `{row['matcher']}` | {row.get('weights', '')} |"
        if "error" in row:
            lines.append(f"{names} {row['error']} | | | |")
            continue
        base = known.get(row["size"], {}) if row["matcher"] != reference else {}
        cells = [
            number(of(row, part, kind), of(base, part, kind))
            for part in ("fit", "predict")
            for kind in ("clips_per_second", "memory")
        ]
        lines.append(f"{names} {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def of(row: Measured, part: str, kind: str) -> float | None:
    """Return a rate, or the peak memory: of the GPU where there is one."""
    if kind != "memory":
        return row.get(f"{part}_{kind}")
    return row.get(f"{part}_peak_gpu_memory_mb") or row.get(f"{part}_peak_memory_mb")


def number(value: float | None, base: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" + (f" (x {value / base:.2f})" if base else "")


def arguments() -> argparse.ArgumentParser:
    def names(text: str) -> list[str]:
        return [part for part in text.split(",") if part]

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=names, default=["small", "medium", "large-v3"])
    parser.add_argument("--own", default=OWN, help="measured at every size; may be empty")
    parser.add_argument("--reference", default=REFERENCE)
    parser.add_argument("--bench", default=BENCH, help="measured as they ship; may be empty")
    parser.add_argument("--clips", type=int, default=128)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--out", type=Path, help="the files' name, without .md and .json")
    return parser


def main() -> None:
    parser = arguments()
    asked = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory() as name:
            found = measure(asked, Path(name))
    except UserError as error:
        parser.error(str(error))
    table = markdown(found, str(parse_matcher(asked.reference)))
    print(table)
    if asked.out:
        write_json(asked.out.with_suffix(".json"), found)
        asked.out.with_suffix(".md").write_text(table, encoding="utf-8")


if __name__ == "__main__":
    main()
