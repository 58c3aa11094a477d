"""CPU seconds and memory of a comparison on a table of many rows, its audio aside.

Writes a CSV of --rows rows whose paths name a few files, takes what intake would find out of the
audio as given, and times what is left: opening, digests, folds, floors without ears, and the
leaderboard. Each stage is timed once; the memory is the highest that the process has had so far.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

from audiomatch import Matcher, Run
from audiomatch.clips import Clips
from audiomatch.contract import fit_matcher, predict_matches
from audiomatch.floors.prior import BaseRate, Prior
from audiomatch.floors.text import TextOnly
from audiomatch.folds import Folds, make_folds
from audiomatch.inputs import open_data
from audiomatch.intake import data_digest
from audiomatch.records import FoldSummary
from audiomatch.scoring import build_leaderboard

FLOORS: dict[str, type[Matcher]] = {"base-rate": BaseRate, "prior": Prior, "text-only": TextOnly}
FILES = 100
FOLDS = 3


def main() -> None:
    """Print a row a stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--texts", type=int, help="distinct texts (else a fifth of the rows)")
    parser.add_argument("--floors", default=",".join(FLOORS), help="names, with commas between")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        table = write_rows(Path(folder), given.rows, given.texts or given.rows // 5)
        print("| stage | CPU seconds | peak MB |\n| --- | --- | --- |")
        began = time.process_time()
        measure(table, [name for name in given.floors.split(",") if name])
        print(f"| all | {time.process_time() - began:.1f} | {_peak():.0f} |")


def write_rows(folder: Path, rows: int, texts: int) -> Path:
    """Write a manifest of words drawn at random, and empty files for its paths."""
    rng = np.random.default_rng(0)
    words = np.array(["".join(rng.choice([*"abcdefghijklmnop"], 5)) for _ in range(2000)])
    drawn = words[rng.integers(len(words), size=(texts, 5))]
    lines = [f"{' '.join(line).capitalize()} {i}." for i, line in enumerate(drawn)]
    names = [f"{i:03}.wav" for i in range(FILES)]
    for name in names:
        (folder / name).touch()
    said = rng.integers(texts, size=rows)
    frame = pd.DataFrame(
        {
            "id": [f"clip-{i}" for i in range(rows)],
            "audio": np.array(names)[rng.integers(FILES, size=rows)],
            "expected_text": np.array(lines, dtype=object)[said],
            "match": (rng.random(rows) < 0.3 + 0.4 * (said % 7 == 0)).astype(int),
            "task": np.array(["blending", "deletion"])[said % 2],
            "speaker": [f"s{i}" for i in rng.integers(rows // 100 + 1, size=rows)],
        }
    )
    frame.to_csv(folder / "rows.csv", index=False)
    return folder / "rows.csv"


def measure(table: Path, floors: list[str]) -> None:
    """Time each stage of a comparison of the floors."""
    with _timed("open the table"):
        clips = open_data(table, labelled=True).clips
    clips = _as_if_heard(clips)
    with _timed("digest of the data"):
        digest = data_digest(clips)
    with _timed(f"{FOLDS} folds"):
        folds = make_folds(clips, FOLDS)
    with _timed("digests of the parts"):
        for fold in range(FOLDS):
            for part in folds.split(fold):
                data_digest(part)
    print(f"| (data {digest[:12]}, folds {folds.digest[:12]}) | | |")
    predictions = [_predicted(name, folds, table.parent) for name in floors]
    if predictions:
        with _timed("leaderboard"):
            build_leaderboard(
                pd.concat(predictions), [_summary(n, i) for n in floors for i in range(FOLDS)]
            )


def _as_if_heard(clips: Clips) -> Clips:
    """Return the clips as intake would, each a recording of its own."""
    digests = [f"{i:064x}" for i in range(len(clips))]
    return clips.with_audio_facts(np.ones(len(clips)).tolist(), digests, digests)


def _predicted(name: str, folds: Folds, folder: Path) -> pd.DataFrame:
    run, p = Run(folder / "cache"), np.empty(len(folds.clips))
    with _timed(name):
        for fold in range(FOLDS):
            train, held_out = folds.split(fold)
            matcher = FLOORS[name](FLOORS[name].Config())
            fit_matcher(matcher, train, run)
            p[folds.of == fold] = predict_matches(matcher, held_out, run)
    frame = folds.clips.frame[["id", "match", "task", "grade"]].reset_index(drop=True)
    return frame.assign(matcher=name, fold=folds.of, group=folds.clips.groups, p_match=p)


def _summary(name: str, fold: int) -> FoldSummary:
    return FoldSummary(
        matcher=name, kind="floor", fold=fold, status="done", config={}, plugin="", version="",
        clips_fit=0, clips_predict=0, seconds_fit=0.0, seconds_predict=0.0, notes={},
    )  # fmt: skip


@contextmanager
def _timed(stage: str) -> Iterator[None]:
    began = time.process_time()
    yield
    print(f"| {stage} | {time.process_time() - began:.1f} | {_peak():.0f} |", flush=True)


def _peak() -> float:
    """Return the highest resident size so far, in MB (Linux counts in KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
