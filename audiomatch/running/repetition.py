"""A run repeated from its record, and what differs."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, chdir, nullcontext
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field

import audiomatch
from audiomatch.errors import UserError
from audiomatch.files import Place, user_path
from audiomatch.progress import Progress
from audiomatch.records import ALL, DataRecord, RunRecord
from audiomatch.records.base import Record
from audiomatch.scoring.clip_table import REPEAT
from audiomatch.scoring.metrics import clip_losses
from audiomatch.scoring.runs import KeptRun, open_run

Verdict = Literal["equal", "within", "differs", "missing"]
TOLERANCE = 1e-6
SIZE = "train_size"
_KEY = ["matcher", SIZE, REPEAT, "id"]
_IN_MEMORY = {"clips", "data frame", "memory"}


class Change(Record):
    """Something of a run's data, code or machine that is another now."""

    what: str = Field(description="such as `data`, `code of audiomatch-whisper` or `numpy`")
    before: str = Field(description="empty where there was none")
    now: str = Field(description="empty where there is none")


class Repeated(Record):
    """What a matcher predicted in a run and predicts now."""

    matcher: str = Field(description="as named on the command line")
    verdict: Verdict = Field(
        description="`equal` bit for bit, `within` the tolerance, beyond it, or not all clips of "
        "one run are predicted in the other"
    )
    clips: int = Field(description="predictions that both have")
    largest: float | None = Field(description="the largest difference of P(match)")
    log_loss_before: float | None = Field(description="over the clips that both have, in nats")
    log_loss: float | None = Field(description="now")


class Repetition(Record):
    """What `audiomatch rerun` found."""

    run: str = Field(description="the run folder that was repeated")
    out: str = Field(description="the run folder of now")
    tolerance: float = Field(description="the largest difference of P(match) that is let pass")
    changes: tuple[Change, ...] = Field(description="what is another now")
    rows: tuple[Repeated, ...] = Field(description="one a matcher and floor")

    @property
    def same(self) -> bool:
        """Whether every prediction came again, within the tolerance."""
        return all(row.verdict in {"equal", "within"} for row in self.rows)


def repeat_run(
    folder: Path,
    *,
    data: str | None = None,
    test: str | None = None,
    out: Path | None = None,
    device: str | None = None,
    cache: Place | None = None,
    executor: str = "process",
    tolerance: float = TOLERANCE,
    progress: bool | Progress = False,
) -> Repetition:
    """Compute every fold of a run again, into another folder, and compare the predictions.

    Args:
        folder: the run folder.
        data: where the data are now, else where they were.
        test: where the data predicted are, of a run that had such.
        out: the run folder to write, else `folder` with `-rerun`; an interrupted one goes on.
        device: else the one of the run.
        cache: as `audiomatch.compare` takes it. Features that are kept in it are not computed anew.
        executor: what computes the folds, as `audiomatch.compare` takes it.
        tolerance: the largest difference of P(match) that is let pass.
        progress: as `audiomatch.compare` takes it.

    Raises:
        UserError: the run cannot be repeated from its record.
    """
    kept = open_run(folder)
    before = RunRecord.read(folder / "run.json")
    out = folder.with_name(f"{folder.resolve().name}-rerun") if out is None else out
    if out.resolve() == folder.resolve():
        raise UserError(f"--out {out}: is the run itself; name another folder")
    arguments = _arguments(before, folder)
    places: dict[str, Any] = {
        "data": _place(before.data, data, folder, "--data"),
        "test": _place(before.test, test, folder, "--test") if before.test else None,
        "out": out.resolve(),
        "cache": None if cache is None else user_path(cache).resolve(),
    }
    with _working_folder(before, folder):
        found = audiomatch.compare(
            matchers=_matchers(before),
            dataset=None if data else before.data.dataset,
            device=device or before.device,
            executor=executor,
            progress=progress,
            **places,
            **arguments,
        )
    return Repetition(
        run=str(folder),
        out=str(out),
        tolerance=tolerance,
        changes=tuple(_changes(before, found.run)),
        rows=tuple(_rows(kept, open_run(out), tolerance)),
    )


def _arguments(run: RunRecord, folder: Path) -> dict[str, Any]:
    """Return what `compare` was asked; raises `UserError` where it is not known or not taken."""
    if not run.arguments:
        raise UserError(
            f"{folder / 'run.json'}: does not say how it was asked, as those of an earlier "
            "release; `audiomatch bench` makes it anew"
        )
    unknown = set(run.arguments) - set(inspect.signature(audiomatch.compare).parameters)
    if unknown:
        raise UserError(
            f"{folder / 'run.json'}: was asked with {', '.join(sorted(unknown))}, which this "
            "release does not know"
        )
    floors = [result.matcher for result in run.results if result.kind == "floor"]
    # Of an earlier release, which knew no choice and not all of the floors of this one.
    return {"floors": ",".join(dict.fromkeys(floors)) or "none", **run.arguments}


def _place(data: DataRecord, given: str | None, folder: Path, option: str) -> Path | None:
    """Return where data are; None for those that ship with their plugin.

    Where they are gone they are looked for as they were seen from the run folder: both may have
    moved together.
    """
    if given is not None:
        place = user_path(given)
        return place.resolve() if place.exists() else Path(given)
    if data.dataset in _IN_MEMORY:
        raise UserError(
            f"{folder}: was made of data in memory ({data.dataset}), which are not kept; "
            f"give {option}"
        )
    if data.source == data.dataset:
        return None
    place, moved = Path(data.source), (folder / data.beside).resolve()
    return moved if data.beside and moved.exists() and not place.exists() else place


def _working_folder(run: RunRecord, folder: Path) -> AbstractContextManager[None]:
    """Work where the run did, for relative paths such as those of weights; here if that is gone."""
    there = folder.resolve() / run.working_folder
    return chdir(there) if run.working_folder and there.is_dir() else nullcontext()


def _matchers(run: RunRecord) -> list[str]:
    """Return the matchers of a run as they were named; floors alone where there are no others."""
    named = {result.matcher: result.kind for result in run.results}
    return [name for name in named if named[name] == "matcher"] or list(named)


def _changes(before: RunRecord, now: RunRecord) -> Iterator[Change]:
    test = [run.test.digest if run.test else "" for run in (before, now)]
    facts = [
        ("data", before.data.digest, now.data.digest),
        ("test data", *test),
        ("folds", before.folds.digest, now.folds.digest),
        ("device", before.device, now.device),
        ("processor", before.machine.processor, now.machine.processor),
        (
            "vector instructions",
            " ".join(before.machine.instructions),
            " ".join(now.machine.instructions),
        ),
        ("GPUs", ", ".join(before.machine.gpus), ", ".join(now.machine.gpus)),
    ]
    for head, name in (("code of ", "code"), ("", "versions"), ("", "packages")):
        facts += _each(head, getattr(before, name), getattr(now, name))
    facts += _each("", before.machine.threads, now.machine.threads)
    seen = set()
    for what, old, new in facts:
        if old != new and what not in seen:
            seen.add(what)
            yield Change(what=what, before=old, now=new)


def _each(
    head: str, before: Mapping[str, str], now: Mapping[str, str]
) -> list[tuple[str, str, str]]:
    names = sorted({*before, *now})
    return [(f"{head}{name}", before.get(name, ""), now.get(name, "")) for name in names]


def _rows(before: KeptRun, now: KeptRun, tolerance: float) -> Iterator[Repeated]:
    one, other = _predictions(before), _predictions(now)
    both = one.join(other["p_match"].rename("p_match_now"), how="outer")
    order = dict.fromkeys(result.matcher for result in (*before.results, *now.results))
    parts = {str(name): part for name, part in both.groupby(level="matcher")}
    for matcher in order:
        yield _row(matcher, parts.get(matcher, both[:0]), tolerance)


def _row(matcher: str, part: pd.DataFrame, tolerance: float) -> Repeated:
    shared = part.dropna(subset=["p_match", "p_match_now"])
    y, p, q = (shared[name].to_numpy(np.float64) for name in ("match", "p_match", "p_match_now"))
    largest = float(np.abs(p - q).max()) if len(shared) else None
    verdict: Verdict = "missing"
    if largest is not None and len(shared) == len(part):
        verdict = "equal" if largest == 0 else "within" if largest <= tolerance else "differs"
    return Repeated(
        matcher=matcher,
        verdict=verdict,
        clips=len(shared),
        largest=largest,
        log_loss_before=float(clip_losses(y, p).mean()) if len(shared) else None,
        log_loss=float(clip_losses(y, q).mean()) if len(shared) else None,
    )


def _predictions(run: KeptRun) -> pd.DataFrame:
    """Return the predictions of a run, with those of less training, by what they are of."""
    whole = run.predictions.assign(**{SIZE: ALL})
    table = pd.concat([whole, run.smaller]) if len(run.smaller) else whole
    return table.set_index(_KEY)[["match", "p_match"]]
