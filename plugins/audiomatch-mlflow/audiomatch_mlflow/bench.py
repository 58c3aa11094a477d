"""A comparison as an MLflow run, with a nested run for each matcher."""

from __future__ import annotations

import json
import shlex
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import JsonValue

from audiomatch.files import write_json
from audiomatch.hookspecs import PROJECT
from audiomatch.private import without_folders
from audiomatch.records import FoldSummary, Leaderboard, Row, RunRecord, Scores
from audiomatch.running.identity import digest_of
from audiomatch.scoring.summary import summary
from audiomatch_mlflow.server import PREFIX, Experiment, Point, TrackedRun, track

KEY = "mlflow.json"  # in the run folder: what the run on a server is known by
LOSS = "fold/log_loss"
_FOLD = ("log_loss", "skill", "auroc", "brier", "calibration_error", "seconds_fit",
         "seconds_predict", "peak_memory_mb")  # fmt: skip
_COST = ("seconds_fit", "seconds_predict", "clips_per_second", "peak_memory_mb",
         "peak_gpu_memory_mb")  # fmt: skip


def track_bench(folder: Path, leaderboard: Leaderboard) -> None:
    """Write a run folder; the same folder goes on in the same run of the server."""
    record = RunRecord.read(folder / "run.json")

    def write(experiment: Experiment) -> None:
        own = {f"{PREFIX}run": _key(folder)}
        parent = experiment.run(folder.resolve().name, own, goes_on=True)
        for rank, row in enumerate(leaderboard.rows, 1):
            _write_matcher(experiment, parent, rank, row, leaderboard, record)
        _write_run(parent, leaderboard, record)
        parent.artifacts(folder)
        parent.finish()

    track(write)


def _key(folder: Path) -> str:
    """Return the key of the folder's run, made when it is first asked for."""
    file = folder / KEY
    if not file.exists():
        write_json(file, {"key": uuid.uuid4().hex})
    return str(json.loads(file.read_text(encoding="utf-8"))["key"])


def words(command: Sequence[str]) -> str:
    """Return a command as it was typed, without the folders of this machine."""
    return shlex.join(map(without_folders, command))


def _write_run(run: TrackedRun, board: Leaderboard, record: RunRecord) -> None:
    data = record.data
    run.params(
        {
            "data": data.source,
            "dataset": data.dataset,
            "data_digest": data.digest,
            "clips": data.clips,
            "test": record.test.source if record.test else "",
            "folds": board.folds,
            "repeats": board.repeats,
            "group": record.folds.group,
            "groups": record.groups,
            "split": record.folds.split,
            "negatives": ",".join(record.folds.negatives),
            "seed": record.seed,
            "precision": record.precision,
            "command": words(record.command),
        }
    )
    best = next((row for row in board.rows if row.n), None)
    run.tags(
        {
            **facts(record.versions, record.code, record.device),
            f"{PREFIX}command": words(record.command),
            f"{PREFIX}best": best.label if best else "",
            "mlflow.note.content": "\n\n".join(summary(board)),
        }
    )
    run.metrics([Point("seconds", record.seconds), *(_scores(best) if best else ())])


def facts(
    versions: Mapping[str, str], code: Mapping[str, str], device: str
) -> dict[str, JsonValue]:
    """Return the tags of where a run comes from."""
    return {
        f"{PREFIX}device": device,
        "mlflow.source.name": PROJECT,
        **{f"{PREFIX}version.{name}": version for name, version in versions.items()},
        **{f"{PREFIX}code.{name}": digest for name, digest in code.items()},
    }


def _write_matcher(
    experiment: Experiment,
    parent: TrackedRun,
    rank: int,
    row: Row,
    board: Leaderboard,
    record: RunRecord,
) -> None:
    """Write a nested run; the options or the code being others, it is another run."""
    results = [one for one in record.results if one.matcher == row.matcher and one.whole]
    first = results[0]
    code = [record.code.get(name, "") for name in (PROJECT, first.plugin)]
    config, decides = first.config, [first.fingerprint, code, record.device, record.precision]
    own = {
        "mlflow.parentRunId": parent.id,
        f"{PREFIX}key": digest_of([row.matcher, config, *decides]),
    }
    run = experiment.run(row.label, own, goes_on=True)
    run.params(config)
    run.tags(
        {
            f"{PREFIX}matcher": row.matcher,
            f"{PREFIX}kind": row.kind,
            f"{PREFIX}status": row.status,
            f"{PREFIX}tier": row.tier,
            f"{PREFIX}plugin": f"{first.plugin} {first.version}",
            f"{PREFIX}weights": row.weights or "",
            **{f"{PREFIX}{name}": value for name, value in first.fingerprint.items()},
            **{f"{PREFIX}error.fold_{one.fold + 1}": one.error for one in row.errors},
        }
    )
    run.metrics([Point("rank", rank), *_scores(row), *_costs(row)])
    run.metrics(_folds(row, results, board, run.steps(LOSS)))
    run.finish(failed=row.status in ("failed", "skipped"))


def _scores(row: Row) -> Iterator[Point]:
    for name in Scores.model_fields:
        value = getattr(row, name)
        if value is not None:
            yield Point(name, float(value))
    if row.calibrated:
        yield Point("calibrated_log_loss", row.calibrated.log_loss)


def _costs(row: Row) -> Iterator[Point]:
    for name in _COST:
        value = getattr(row, name)
        if value is not None:
            yield Point(name, float(value))


def _folds(
    row: Row, results: Sequence[FoldSummary], board: Leaderboard, known: set[int]
) -> Iterator[Point]:
    """Yield the scores and the loss curves of folds that are not known, or were computed anew.

    The step is the fold, counted over repeats, from 0.
    """
    notes = {(one.repeat, one.fold): one.notes for one in results}
    for fold in row.by_fold:
        step = fold.repeat * board.folds + fold.fold
        if fold.status != "done" or (step in known and fold.replayed):
            continue
        for name in _FOLD:
            value = getattr(fold, name)
            if value is not None:
                yield Point(f"fold/{name}", float(value), step)
        yield from curves(notes[fold.repeat, fold.fold], f"/fold_{step}")


def curves(notes: Mapping[str, JsonValue], which: str = "") -> Iterator[Point]:
    """Yield the loss curves of a training, `{label: [loss, …]}` in its notes."""
    noted = notes.get("training_loss")
    for label, curve in noted.items() if isinstance(noted, dict) else ():
        for step, value in enumerate(curve if isinstance(curve, list) else ()):
            if isinstance(value, int | float):
                yield Point(f"training_loss_{label}{which}", float(value), step)
