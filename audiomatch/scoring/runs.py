"""Run folders, read back: their tables made anew, merged, or two of their rows compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from audiomatch.errors import UserError, brief, unknown
from audiomatch.records import Difference, FoldSummary, Leaderboard, OperatingPoint, RunRecord
from audiomatch.scoring.behaviours import behaviours_of
from audiomatch.scoring.clip_table import BY_GROUP, COLUMNS, REPEAT, ClipTable, clusters_by
from audiomatch.scoring.comparisons import MATTERS, compare_by
from audiomatch.scoring.metrics import clip_losses
from audiomatch.scoring.whole import whole_leaderboard

PLANTED = ("matcher", "probe", "expectation", "group", "p_match")


@dataclass(frozen=True)
class KeptRun:
    """What is needed of a run folder: the predictions, and what became of each fold."""

    source: str
    predictions: pd.DataFrame
    smaller: pd.DataFrame  # those of matchers that learned from less
    results: tuple[FoldSummary, ...]
    digests: tuple[str, ...]  # of the data that are predicted, and of the folds
    seed: int
    planted: pd.DataFrame  # those of planted clips


def open_run(folder: Path) -> KeptRun:
    """Read a run folder that `bench` wrote, also one of an earlier release.

    Raises `UserError` for a folder that is none, or whose run has not finished.
    """
    if not (folder / "folds.json").is_file():
        raise UserError(f"{folder}: is no run folder; `audiomatch bench --out {folder}` writes one")
    file = folder / "predictions.parquet"
    if not file.is_file() or not (folder / "run.json").is_file():
        raise UserError(f"{folder}: the run has not finished; the same `bench` goes on with it")
    record = RunRecord.read(folder / "run.json")
    predictions = _table(file, COLUMNS)
    predictions[REPEAT] = predictions.get(REPEAT, 0)
    less = folder / "train_sizes.parquet"
    smaller = _table(less, (*COLUMNS, "train_size")) if less.exists() else predictions[:0]
    probed = folder / "behaviours.parquet"
    planted = _table(probed, PLANTED) if probed.exists() else pd.DataFrame(columns=PLANTED)
    digests = record.data.digest, record.test.digest if record.test else "", record.folds.digest
    facts = record.results, digests, record.seed, planted
    return KeptRun(str(folder), predictions, smaller, *facts)


def _table(file: Path, columns: Sequence[str]) -> pd.DataFrame:
    try:
        table = pd.read_parquet(file)
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: cannot be read ({brief(error)})") from None
    missing = [name for name in columns if name not in table]
    if missing:
        raise UserError(f"{file}: has no column {missing[0]!r}")
    return table


def merged(runs: Sequence[KeptRun]) -> KeptRun:
    """Return several runs of the same data and folds as one; a row that two have counts once.

    Raises `UserError` where data or folds differ, or a matcher's predictions do.
    """
    first, *others = runs
    planted = [first.planted]
    parts, less, results = [first.predictions], [first.smaller], list(first.results)
    for run in others:
        if run.digests != first.digests:
            what = "folds" if run.digests[:2] == first.digests[:2] else "data"
            raise UserError(f"{run.source}: has other {what} than {first.source}")
        if set(run.predictions[REPEAT]) != set(first.predictions[REPEAT]):
            raise UserError(f"{run.source}: has another number of --repeats than {first.source}")
        known = pd.concat(parts)
        known_names = {result.matcher for result in results}
        for matcher in dict.fromkeys(result.matcher for result in run.results):
            own = run.predictions[run.predictions["matcher"] == matcher]
            if matcher not in known_names:
                parts.append(own)
                less.append(run.smaller[run.smaller["matcher"] == matcher])
                planted.append(run.planted[run.planted["matcher"] == matcher])
                results += [result for result in run.results if result.matcher == matcher]
            elif not _alike(own, known[known["matcher"] == matcher]):
                raise UserError(
                    f"{run.source}: {matcher} is in {first.source} or another run too, with other "
                    "predictions"
                )
    predictions, smaller = (pd.concat(tables, ignore_index=True) for tables in (parts, less))
    facts = tuple(results), first.digests, first.seed, pd.concat(planted, ignore_index=True)
    return KeptRun(first.source, predictions, smaller, *facts)


def leaderboard_of(
    runs: Sequence[KeptRun], cluster: str = BY_GROUP, matters: float = MATTERS
) -> Leaderboard:
    """Return the leaderboard of one run, or of several merged; see `build_leaderboard`."""
    run = merged(runs)
    for name in cluster.split("+"):
        _check_column(run, "--cluster", name)
    board = whole_leaderboard(
        run.predictions,
        run.smaller,
        run.results,
        cluster=cluster,
        matters=matters,
        seed=run.seed,
    )
    return board.model_copy(update={"behaviours": behaviours_of(run.planted)})


def compare_rows(
    run: KeptRun,
    a: str,
    b: str,
    by: str | None = None,
    cluster: str = BY_GROUP,
    matters: float = MATTERS,
) -> dict[str, Difference]:
    """Return the log loss of row `a` minus that of `b`: over all clips, and by a column's values.

    The first, under the key "", is the pair by itself; the intervals of the values hold together.
    Raises `UserError` for a row or column that is not there.
    """
    for name in (*cluster.split("+"), *([by] if by else [])):
        _check_column(run, "--by" if name == by else "--cluster", name)
    named = sorted(run.predictions["matcher"].unique())
    for matcher in (a, b):
        if matcher not in named:
            raise unknown("row", matcher, named)
    if a == b:
        raise UserError(f"{a} and {b} cannot be compared: they are one matcher")
    rows = ["id", REPEAT]
    table = run.predictions
    own, other = (table[table["matcher"] == matcher].set_index(rows) for matcher in (a, b))
    clips = own.join(other["p_match"].rename("p_other"), how="inner")
    if clips.empty:
        raise UserError(f"{a} and {b} cannot be compared: no clip is predicted by both")
    clips = clips.sort_index()
    y = clips["match"].to_numpy(float)
    losses = [clip_losses(y, clips[name].to_numpy(float)) for name in ("p_match", "p_other")]
    clips = clips.assign(difference=losses[0] - losses[1])
    apart = clips.groupby("id")["difference"].mean().to_numpy(float)  # over repeats
    clips = clips.groupby("id", as_index=False).first()
    clusters = clusters_by(clips, cluster)
    values = clips[by].fillna("").astype(str).to_numpy(object) if by else None
    return compare_by((a, b), apart, clusters, values, matters)


def operating_of(
    run: KeptRun,
    matcher: str | None = None,
    by: str | None = None,
    cluster: str = BY_GROUP,
    *,
    calibrated: bool = False,
) -> tuple[str, list[OperatingPoint]]:
    """Return the operating points of a row, else of the first matcher, and its name.

    With `by` also for each value of that column; `calibrated` for those of calibrated
    probabilities. Raises `UserError` for a row, column or calibration that is not there.
    """
    for name in (*cluster.split("+"), *([by] if by else [])):
        _check_column(run, "--by" if name == by else "--cluster", name)
    if run.predictions.empty:
        raise UserError(f"{run.source}: no row has a finished fold")
    predictions = _calibrated(run, matcher) if calibrated else run.predictions
    table = ClipTable(predictions, cluster)
    if matcher is None:
        floors = {result.matcher for result in run.results if result.kind == "floor"}
        losses = {name: float(np.nanmean(table.losses(name))) for name in table.p}
        matcher = min(losses, key=lambda name: (name in floors, losses[name]))
    elif matcher not in table.p:
        raise unknown("row", matcher, sorted(table.p))
    return matcher, table.operating(matcher, [by] if by else [])


def _calibrated(run: KeptRun, matcher: str | None) -> pd.DataFrame:
    """Return the predictions with calibrated probabilities in the place of others."""
    own = run.predictions
    if "p_calibrated" in own:
        own = own[own["p_calibrated"].notna()]
        own = own.assign(p_match=own["p_calibrated"])
        if matcher in (None, *own["matcher"]) and len(own):
            return own
    raise UserError(
        f"{run.source}: has no calibrated probabilities{f' of {matcher}' if matcher else ''}; "
        "`bench --calibrate` adds them to those of matchers"
    )


def _check_column(run: KeptRun, option: str, name: str) -> None:
    if name not in run.predictions.columns:
        columns = [c for c in map(str, run.predictions.columns) if c not in _NOT_BY]
        raise UserError(
            f"{option} {name}: the predictions of {run.source} have no such column; there is: "
            f"{', '.join(columns)} (`bench` of this release keeps those of the data)"
        )


_NOT_BY = ("id", REPEAT, "matcher", "match", "p_match", "p_calibrated")


def _alike(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    first, second = (
        part.set_index(["id", REPEAT])["p_match"].sort_index() for part in (one, other)
    )
    return bool(first.equals(second))
