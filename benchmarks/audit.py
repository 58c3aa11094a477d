"""How often an audit is wrong: leaks planted in mini-screener, and clean corpora.

    python benchmarks/audit.py [--permutations 1000] [--only leaks|alarms]

Each leak is named before it is planted, and looked for by that name. Of the clean corpora, the toy
corpus and mini-screener, the labels are permuted, so that nothing can tell them; a report with
anything that tells the label is a false alarm. Prints Markdown.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import soundfile
from numpy.typing import NDArray

import audiomatch
from audiomatch.audio import SAMPLE_RATE, load_audio
from audiomatch.auditing.auditor import probe
from audiomatch.auditing.questions import finding_of
from audiomatch.auditing.sound import listen
from audiomatch.clips import Clips
from audiomatch.datasets.manifest import open_manifest
from audiomatch.datasets.mini_screener import open_mini_screener
from audiomatch.floors.features import audio_features
from audiomatch.folds import deal_folds
from audiomatch.intake import admit
from audiomatch.matcher import Run
from audiomatch.testing.corpus import make_toy

Samples = NDArray[np.float32]
Rows = list[dict[str, Any]]
Plant = Callable[[dict[str, Any], np.random.Generator], None]
PLANTED_IN = 240  # clips
FOLLOWS = 0.95  # of the clips follow a leak


def column(row: dict[str, Any], rng: np.random.Generator) -> None:
    """Write the label into a column, as a number among noise."""
    row["quality"] = rng.normal() + 4 * row["sign"]


def leading_silence(row: dict[str, Any], rng: np.random.Generator) -> None:
    """Begin matches half a second late, and end mismatches so."""
    quiet = rng.normal(0, 1e-4, SAMPLE_RATE // 2).astype(np.float32)
    parts = [quiet, row["samples"]]
    row["samples"] = np.concatenate(parts if row["sign"] else parts[::-1])


def duration(row: dict[str, Any], rng: np.random.Generator) -> None:
    """Let matches go on for two to three seconds of noise."""
    if row["sign"]:
        more = rng.normal(0, 1e-3, int(rng.uniform(4, 5) * SAMPLE_RATE)).astype(np.float32)
        row["samples"] = np.concatenate([row["samples"], more])


def level(row: dict[str, Any], _rng: np.random.Generator) -> None:
    """Turn matches down by 20 dB."""
    row["samples"] = row["samples"] * (0.1 if row["sign"] else 1.0)


def sample_rate(row: dict[str, Any], _rng: np.random.Generator) -> None:
    """Write matches at 8 kHz."""
    if row["sign"]:
        row["rate"], row["samples"] = SAMPLE_RATE // 2, row["samples"][::2]


def file_name(row: dict[str, Any], _rng: np.random.Generator) -> None:
    """Write the label into the middle of the name."""
    row["name"] = f"take-{'ab'[row['sign']]}-{row['name']}"


def row_order(row: dict[str, Any], _rng: np.random.Generator) -> None:
    """Put matches first."""
    row["order"] = -row["sign"]


LEAKS: dict[str, tuple[Plant, str]] = {
    "label in a column": (column, "label-in-column"),
    "label in leading silence": (leading_silence, "label-in-silence"),
    "label in duration": (duration, "label-in-duration"),
    "label in level": (level, "label-in-level"),
    "label in sample rate": (sample_rate, "label-in-sample-rate"),
    "label in file name": (file_name, "label-in-file-name"),
    "label in row order": (row_order, "label-in-row-order"),
}


def converted(samples: Samples, form: str, subtype: str) -> Samples:
    """Return samples through a codec."""
    file = io.BytesIO()
    soundfile.write(file, samples, SAMPLE_RATE, format=form, subtype=subtype)
    file.seek(0)
    return np.asarray(soundfile.read(file, dtype="float32")[0])


COPIES: dict[str, Callable[[Samples], Samples]] = {
    "gain of -14 dB": lambda x: x * 0.2,
    "MP3": lambda x: converted(x, "MP3", "MPEG_LAYER_III"),
    "Opus": lambda x: converted(x, "OGG", "OPUS"),
    "trimmed by a quarter": lambda x: x[len(x) * 3 // 20 : len(x) * 9 // 10],
    "2 s later": lambda x: np.concatenate([np.zeros(2 * SAMPLE_RATE + 77, np.float32), x]),
    "all of these": lambda x: converted(
        np.concatenate([np.zeros(9_001, np.float32), x[len(x) // 10 :] * 0.3]),
        "MP3",
        "MPEG_LAYER_III",
    ),
}


def originals() -> Rows:
    """Return some clips of mini-screener without the columns that tell their labels."""
    clips = open_mini_screener(None, True)
    clips = clips.take(np.arange(PLANTED_IN))
    frame = clips.frame.drop(columns=["error", "spoken"])
    rows: Rows = frame.drop(columns=["audio", "id"]).to_dict("records")
    for row, path in zip(rows, clips.paths, strict=True):
        row.update(name=path.stem, samples=load_audio(path), rate=SAMPLE_RATE)
    return rows


def write(rows: Rows, folder: Path) -> Path:
    """Write rows as a corpus, in the order that they ask for."""
    folder.mkdir()
    kept = []
    for row in sorted(rows, key=lambda one: one.get("order", 0)):
        audio = f"{row['name']}.wav"
        soundfile.write(folder / audio, row["samples"], row["rate"])
        beside = ("name", "samples", "rate", "sign", "order")
        kept.append({"audio": audio, **{k: v for k, v in row.items() if k not in beside}})
    pd.DataFrame(kept).to_csv(folder / "manifest.csv", index=False)
    return folder


def planted(rows: Rows, plant: Plant, folder: Path) -> Path:
    """Write the corpus with a leak that `FOLLOWS` of the clips follow."""
    rng = np.random.default_rng(1)
    rows = [dict(row) for row in rows]
    for row in rows:
        row["sign"] = row["match"] if rng.random() < FOLLOWS else 1 - row["match"]
        plant(row, rng)
    return write(rows, folder)


def leaks(folder: Path) -> None:
    """Plant each leak alone and say what the audit found."""
    rows = originals()
    print("| planted | looked for | found | AUROC | p |\n| --- | --- | --- | --: | --: |")
    for number, (name, (plant, wanted)) in enumerate(LEAKS.items()):
        found = audiomatch.audit(planted(rows, plant, folder / str(number)), cache=folder / "c")
        one = next((f for f in found.findings if f.id == wanted), None)
        figures = f"{one.severity} | {one.auroc:.3f} | {one.p:.3f}" if one else "**no** | |"
        print(f"| {name} | `{wanted}` | {figures} |", flush=True)
    for number, (name, how) in enumerate(COPIES.items()):
        wanted = "copies-across-folds"
        share, others = copied(rows, how, folder / f"copies{number}")
        figures = f"{share} of {MADE} | others: {others} |"
        print(f"| a recording in another group: {name} | `{wanted}` | {figures} |", flush=True)
    share, others = copied(rows, lambda x: x, folder / "same", "recordings-across-folds")
    print(
        f"| the same recording under two names | `recordings-across-folds` | {share} of {MADE} | "
        f"others: {others} |"
    )


MADE = 20  # copies


def copied(
    rows: Rows, how: Callable[[Samples], Samples], folder: Path, wanted: str = "copies-across-folds"
) -> tuple[int, int]:
    """Put copies of training clips into the test part; return how many are found, and how many not.

    The second number is of clips that are no copies and were taken for some.
    """
    rng = np.random.default_rng(2)
    rows = [dict(row, part="train") for row in rows]
    texts = rng.permutation(sorted({row["expected_text"] for row in rows}))
    for row in rows:
        row["part"] = "train" if row["expected_text"] in texts[: len(texts) // 2] else "test"
    train = [row for row in rows if row["part"] == "train"]
    test = [i for i, row in enumerate(rows) if row["part"] == "test"]
    targets = rng.choice(test, MADE, replace=False)
    for target, source in zip(targets, rng.choice(len(train), MADE, replace=False), strict=True):
        rows[target]["samples"] = how(train[source]["samples"])
    found = audiomatch.audit(write(rows, folder), split="part", cache=folder.parent / "c")
    one = next((f for f in found.findings if f.id == wanted), None)
    if one is None:
        return 0, 0
    named = {int(row) - 2 for row in one.rows} - set(targets.tolist())
    return one.count - len(named), len(named)


def alarms(clips: Clips, group: str, run: Run, permutations: int) -> tuple[int, float]:
    """Return how many reports on permuted labels find anything, and the seconds of one."""
    heard, statistics = listen(clips, run), audio_features(clips, run)
    wrong, started = 0, time.perf_counter()
    for seed in range(permutations):
        rng = np.random.default_rng(1_000 + seed)
        other = clips.with_column("match", rng.permutation(clips.labels))
        folds = deal_folds(other, 5, group, seed)
        answers = probe(folds, Run(run.cache, seed=seed), heard, statistics)
        wrong += any(finding_of(answer, ()) for answer in answers)
    return wrong, (time.perf_counter() - started) / permutations


def false_alarms(folder: Path, permutations: int) -> None:
    """Count false alarms on the clean corpora."""
    run = Run(folder / "cache")
    make_toy(folder / "toy")
    corpora = {
        "toy": (open_manifest(folder / "toy", True), "voice"),
        "mini-screener": (open_mini_screener(None, True), "expected_text"),
    }
    print("| corpus | clips | permutations | false alarms | seconds a report |")
    print("| --- | --: | --: | --: | --: |")
    for name, (clips, group) in corpora.items():
        clips = admit(clips, run).clips
        wrong, seconds = alarms(clips, group, run, permutations)
        share = f"{wrong} ({wrong / permutations:.1%})"
        print(f"| {name} | {len(clips)} | {permutations} | {share} | {seconds:.2f} |", flush=True)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--permutations", type=int, default=1_000)
    parser.add_argument("--only", choices=("leaks", "alarms"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.only != "alarms":
            leaks(Path(folder))
            print()
        if options.only != "leaks":
            false_alarms(Path(folder), options.permutations)


if __name__ == "__main__":
    main()
