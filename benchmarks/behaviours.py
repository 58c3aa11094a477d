"""What every matcher confirms of answers planted in matches that it has not heard.

    python benchmarks/behaviours.py --matchers whisper:ready,whisper,xgboost --out FOLDER
    python benchmarks/behaviours.py DATA --group speaker --train 400 --most 60 --out FOLDER

Each matcher is fitted once on two thirds of the groups (texts, unless --group), and probed in
matches of the last third, the same for all. What is fitted and probed is kept in FOLDER; a later
call with other matchers goes on with it. Prints a Markdown table of all that FOLDER holds.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import numpy as np

import audiomatch
from audiomatch.clips import Clips
from audiomatch.folds import deal_folds
from audiomatch.inputs import take_in
from audiomatch.machine import make_run
from audiomatch.matcher import Run
from audiomatch.probing.prober import Probed
from audiomatch.probing.record import ProbeRecord
from audiomatch.probing.table import SECTIONS
from audiomatch.spec import READY

FOLDS = 3


def parts_of(data: str | None, group: str, train: int | None, run: Run) -> tuple[Clips, Clips]:
    """Return what is fitted on, at most `train` clips, and the last third of the groups."""
    intake, _ = take_in(data, run, True)
    folds = deal_folds(intake.clips, FOLDS, group, run.seed)
    rest = np.flatnonzero(folds.of != 0)
    if train is not None and train < len(rest):
        rest = np.sort(np.random.default_rng(run.seed).choice(rest, train, replace=False))
    return folds.clips.take(rest), folds.clips.take(folds.of == 0)


def model_of(name: str, train: Clips, folder: Path, how: dict[str, object]) -> audiomatch.Model:
    """Return a matcher as it was fitted before, or fitted now."""
    place = folder / "models" / slug(name)
    if not name.endswith(READY) and not place.exists():
        audiomatch.fit(name, train, progress=True, **how).save(place)  # type: ignore[arg-type]
    return audiomatch.load(name if name.endswith(READY) else place, progress=True)


def table(records: list[ProbeRecord]) -> str:
    """Return the share confirmed of each probe by each matcher, in Markdown."""
    names = [record.model for record in records]
    lines = [f"| confirmed | n | {' | '.join(names)} |", "|:--|--:" + "|--:" * len(names) + "|"]
    for expectation, title in SECTIONS.items():
        rows = [one for one in records[0].behaviours if one.expectation == expectation]
        lines += [f"| **{title}** | |" + " |" * len(names)] if rows else []
        for row in rows:
            found = [record.behaviour(row.probe) for record in records]
            cells = [
                "-" if one is None or one.confirmed is None else f"{one.confirmed:.2f}"
                for one in found
            ]
            lines.append(f"| {row.probe} | {row.n} | {' | '.join(cells)} |")
    return "\n".join(lines)


def slug(name: str) -> str:
    """Return a matcher's name as that of a file."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower())


def measure(name: str, given: argparse.Namespace, train: Clips, test: Clips) -> Probed:
    """Fit a matcher, where it is not, and probe it."""
    model = model_of(name, train, given.out, {"seed": given.seed, "group": given.group})
    model.name = name
    return audiomatch.probe(model, test, most=given.most, group=given.group)


def main() -> None:
    """Measure what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="?")
    parser.add_argument("--matchers", default="whisper:ready,whisper")
    parser.add_argument("--group", default="expected_text")
    parser.add_argument("--train", type=int)
    parser.add_argument("--most", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--fit-only", action="store_true", help="fit and keep, probe another time")
    given = parser.parse_args()
    records = []
    train, test = parts_of(given.data, given.group, given.train, make_run(seed=given.seed))
    print(f"fitted on {len(train)} clips; {len(test)} held out, {int(test.labels.sum())} matches")
    for name in given.matchers.split(","):
        file = given.out / f"{slug(name)}.json"
        if given.fit_only:
            model_of(name, train, given.out, {"seed": given.seed, "group": given.group})
            continue
        if not file.is_file():
            file.parent.mkdir(parents=True, exist_ok=True)
            measure(name, given, train, test).record.write(file)
        records.append(ProbeRecord.read(file))
    if records:
        print(table(records))


if __name__ == "__main__":
    main()
