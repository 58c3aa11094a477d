"""The run folder: each fold of each matcher is written once, whole, under a key of all it is."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from audiomatch.clips import Clips
from audiomatch.errors import UserError
from audiomatch.files import atomic_file, check_output_folder, refusals_named, user_path
from audiomatch.inputs import Data, shipped_dataset
from audiomatch.locks import held
from audiomatch.offers import Plugin
from audiomatch.records import FoldResult, FoldsRecord, OtherVersionError
from audiomatch.running.identity import computed_by, digest_of
from audiomatch.running.kept import read_fold, write_fold

DESIGN = "folds.json"
WRITTEN = (
    "folds",
    "predictions.parquet",
    "train_sizes.parquet",
    "behaviours.parquet",
    "leaderboard.json",
    "run.json",
    "report.html",
)


def check_run_folder(path: Path) -> None:
    """Raise `UserError` where a run could not be written to `path`, or would destroy other files.

    To be asked before any work.
    """
    check_output_folder(path, "--out")
    if path.is_dir() and not (path / DESIGN).is_file():
        for name in WRITTEN:
            if os.path.lexists(path / name):
                raise UserError(
                    f"--out {path}: holds {name}, but is no run folder; name another folder"
                )


def default_folder(data: Data | None, dataset: str | None) -> Path | None:
    """Return `runs/NAME` for data that has a name: that of the file or folder it stands for."""
    shipped = shipped_dataset(data, dataset)
    if shipped is not None:
        return Path("runs") / shipped
    if not isinstance(data, str | os.PathLike):
        return None
    place = user_path(data).resolve()
    return Path("runs") / ((place.name if place.is_dir() else place.stem) or "data")


@contextmanager
def only_writer(path: Path, *, shared: bool = False) -> Iterator[None]:
    """Keep other runs from the run folder `path` meanwhile; `shared`, those that are not.

    Raises `UserError` where one is at it; of one that was killed nothing is left.
    """
    lock = path / ".lock"
    with refusals_named(path):
        path.mkdir(parents=True, exist_ok=True)
        lock.touch()
    with held(lock, shared=shared) as ours:
        if not ours:
            raise UserError(
                f"--out {path}: another run is writing it (process {lock.read_text() or 'unknown'}"
                "); wait for it, or name another folder"
            )
        with refusals_named(path):
            lock.write_text(str(os.getpid()))
        yield


@dataclass(frozen=True)
class FoldKey:
    """What decides the numbers of one fold of one matcher."""

    matcher: str
    fold: int
    train: str
    held_out: str
    config: Mapping[str, Any]
    plugin: Plugin
    fingerprint: Mapping[str, str]
    seed: int
    device: str
    precision: str

    @property
    def digest(self) -> str:
        """SHA-256 of the key."""
        return digest_of(
            {
                "train": self.train,
                "held_out": self.held_out,
                "matcher": self.matcher.partition(":")[0].partition("@")[0],
                "config": dict(self.config),
                "plugin": [self.plugin.distribution, *computed_by(self.plugin.module)],
                "fingerprint": dict(self.fingerprint),
                "seed": self.seed,
                "device": self.device.partition(":")[0],
                "precision": self.precision,
            }
        )

    @property
    def file(self) -> str:
        """The name of the fold's file: readable, and unique by the key."""
        slug = re.sub(r"[^a-z0-9]+", "-", self.matcher.lower())[:40].strip("-")
        return f"{slug}-{self.fold}-{self.digest[:16]}.parquet"


class RunFolder:
    """A folder that a run writes and a later run of the same goes on with.

    `say` hears of a fold that cannot be replayed or kept.
    """

    def __init__(self, path: Path, say: Callable[[str], None]) -> None:
        self.path = path
        self._say = say

    def claim(self, design: FoldsRecord) -> None:
        """Write `folds.json`. Raises `UserError` where the folder holds another design."""
        file = self.path / DESIGN
        if file.exists():
            try:
                before = FoldsRecord.read(file)
            except OtherVersionError as error:
                raise OtherVersionError(f"--out {error}; name another folder") from None
            except UserError as error:
                self._say(f"{error}; written anew")
            else:
                _check_same(before, design, self.path)
        design.write(file)

    def matchers(self) -> set[str]:
        """Name the matchers of which folds are kept; a file that cannot be read has none."""
        folder, names = self.path / "folds", set()
        for file in folder.glob("*.parquet"):
            with suppress(UserError):
                names.add(read_fold(file)[0].matcher)
        if old := len(list(folder.glob("*.json"))):
            said = "1 fold" if old == 1 else f"{old} folds"
            self._say(f"{folder}: {said} of an older release (.json), not replayed")
        return names

    def replay(self, key: FoldKey, held_out: Clips) -> FoldResult | None:
        """Return the finished fold kept under `key`, or None where it is to be computed.

        A file that is not what `keep` wrote for these clips is named, and counts for nothing.
        """
        file = self._file(key)
        if not os.path.lexists(file):
            return None
        try:
            kept, result = read_fold(file)
            if kept.key != key.digest:
                raise UserError(f"{file}: is another fold")
            if not kept.done:
                raise UserError(f"{file}: is a fold that failed")
            if sorted(result.ids) != sorted(held_out.ids):
                raise UserError(f"{file}: its ids are not those of the clips held out")
        except UserError as error:
            self._say(f"{error}; computed again")
            return None
        return result.model_copy(update={"replayed": True, **_in_order(result, held_out)})

    def keep(self, key: FoldKey, result: FoldResult) -> None:
        """Write a finished fold; where that cannot be done, the run goes on without."""
        try:
            write_fold(self._file(key), key.digest, result)
        except OSError as error:
            self._say(f"{self._file(key)}: {error.strerror}; the fold is not kept")
        except UserError as error:
            self._say(f"{error}; the fold is not kept")

    def _file(self, key: FoldKey) -> Path:
        return self.path / "folds" / key.file

    def write_predictions(
        self,
        predictions: pd.DataFrame,
        smaller: pd.DataFrame,
        planted: pd.DataFrame | None = None,
    ) -> None:
        """Write `predictions.parquet`; `train_sizes` and `behaviours` where there are such rows."""
        tables = {"predictions": predictions, "train_sizes": smaller, "behaviours": planted}
        for name, table in tables.items():
            file = self.path / f"{name}.parquet"
            if table is None or (table.empty and name != "predictions"):  # nor those of before
                file.unlink(missing_ok=True)
                continue
            with atomic_file(file) as temporary:
                table.to_parquet(temporary, index=False)


def _in_order(kept: FoldResult, held_out: Clips) -> dict[str, Any]:
    """Return the predictions in the order of `held_out`: rows may stand in another."""
    p_match = dict(zip(kept.ids, kept.p_match, strict=True))
    return {
        "ids": tuple(held_out.ids),
        "p_match": tuple(p_match[name] for name in held_out.ids),
    }


def _check_same(before: FoldsRecord, now: FoldsRecord, path: Path) -> None:
    if before.digest == now.digest:
        return
    asked = now.design
    if before.design == asked:
        asked = "the same of other clips, texts or --seed"
    raise UserError(
        f"--out {path}: holds a comparison by {before.design}; this one is {asked}; "
        "name another folder"
    )
