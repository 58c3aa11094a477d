"""What the two boosting matchers share: features, choice of rounds, calibration, saving."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from audiomatch import Matcher, Run, UserError
from audiomatch.calibration import Calibration
from audiomatch.clips import Clips
from audiomatch.errors import brief
from audiomatch.folds import inner_folds
from audiomatch_boosting.config import BoostingConfig
from audiomatch_boosting.features.table import Categories, feature_table, probe

if TYPE_CHECKING:  # needs torch
    from audiomatch_boosting.features.asr import Hearing

Table = NDArray[np.float32]
Vector = NDArray[np.float64]
STATE = "matcher.json"
CLIPS_A_THREAD = 4000
MOST_ROUNDS = 20_000


@dataclass(frozen=True)
class Part:
    """Features, labels, and the log odds that boosting starts from."""

    x: Table
    y: Vector
    start: float

    @property
    def starts(self) -> Vector:
        """The start for each row."""
        return np.full(len(self.y), self.start)

    @property
    def tenth(self) -> int:
        """A tenth of the clips, at least 1: the most that a leaf may be made to hold."""
        return max(1, len(self.y) // 10)


@dataclass(frozen=True)
class Training:
    """How to train: where, with what seed, and whom to tell of each round."""

    columns: list[str]
    device: str
    threads: int
    seed: int
    each_round: Callable[[], None]


class BoostingMatcher(Matcher):
    """Trees on features, started from the base rate and shrunk back towards it as far as needed.

    Inner group-disjoint folds of the training part choose the number of rounds (where the mean
    held-out log loss is lowest) and calibrate the sum of the trees (by what they gain out of fold,
    and how surely). The trees are then trained on all of the training part. Where the features tell
    nothing, next to nothing is left of the trees and the base rate remains.
    """

    config: BoostingConfig
    library: ClassVar[str]
    model_file: ClassVar[str]

    def __init__(self, config: BoostingConfig) -> None:
        super().__init__(config)
        self.booster: Any = None
        self.categories = Categories((), ())
        self.columns: list[str] = []
        self.calibration = Calibration()
        self.rounds = 0
        self._hearing: Hearing | None = None

    @abstractmethod
    def train(
        self, part: Part, training: Training, rounds: int, held: Part | None = None
    ) -> tuple[Any, Vector]:
        """Train a booster and return it with its log loss on `held` after each round.

        With `held` it stops once `patience` rounds gave no gain there.
        """

    @abstractmethod
    def margins(self, booster: Any, x: Table, rounds: int, threads: int, device: str) -> Vector:
        """Return the sum of the first `rounds` trees (fewer where there are fewer), shape (n,)."""

    @abstractmethod
    def device(self, run: Run) -> str:
        """Return the library's name of the device to train on; notes where it is not the run's."""

    @abstractmethod
    def write(self, booster: Any, path: Path) -> None:
        """Write the booster in the library's own text format."""

    @abstractmethod
    def read(self, path: Path) -> Any:
        """Read what `write` wrote; raises `ValueError` for anything else."""

    @abstractmethod
    def features(self, booster: Any) -> int:
        """Return how many features a booster takes."""

    @abstractmethod
    def version(self) -> str:
        """Return the library's version."""

    def fingerprint(self) -> dict[str, str]:
        """Return the version of the library, and the weights of the Whisper where one listens."""
        hearing = self.hearing()
        return {self.library: self.version()} | (hearing.fingerprint() if hearing else {})

    def refuses(self, clips: Clips, run: Run) -> list[str | None]:
        """Name texts that the Whisper of the features `asr` does not hold."""
        hearing = self.hearing()
        return super().refuses(clips, run) if hearing is None else hearing.refuses(clips)

    def hearing(self) -> Hearing | None:
        """Return what computes the features `asr`; None without.

        Raises `UserError` where a package is missing, `WeightsError` where the weights are.
        """
        if self.config.features == "audio":
            return None
        if self._hearing is None:
            try:
                from audiomatch_boosting.features.asr import Hearing
            except ModuleNotFoundError as error:
                raise UserError(
                    f"features={self.config.features} needs {error.name}: "
                    "pip install 'audiomatch-boosting[asr]'"
                ) from None
            self._hearing = Hearing(self.config.asr_weights)
        return self._hearing

    def _table(self, clips: Clips, run: Run) -> tuple[Table, list[str]]:
        features = self.config.features
        return feature_table(clips, self.categories, run, features, self.hearing())

    def fit(self, train: Clips, run: Run) -> None:
        """Learn from `train`; see the class."""
        self.categories = Categories.of(train)
        x, self.columns = self._table(train, run)
        y = train.labels.astype(np.float64)
        groups = np.unique(np.asarray(train.groups, dtype=object), return_inverse=True)[1]
        folds = inner_folds(train, self.config.inner_folds, run.seed)
        most, device = self.config.rounds, self.device(run)
        threads = _threads(len(train), run)
        with run.progress.task("boosting", total=(len(folds) + 1) * most, unit="rounds") as task:
            training = Training(self.columns, device, threads, run.seed % 2**31, task.advance)
            boosters, curves, held_parts = [], [], []
            for rest, held in folds:
                inner = Part(x[rest], y[rest], _log_odds(y[rest]))
                held_part = Part(x[held], y[held], inner.start)
                booster, curve = self.train(inner, training, most, held_part)
                task.advance(most - len(curve))
                boosters.append(booster)
                curves.append(curve)
                held_parts.append(held_part)
            self.rounds = _best_rounds(curves, [len(part.y) for part in held_parts])
            sums = [
                self.margins(booster, part.x, self.rounds, threads, device)
                for booster, part in zip(boosters, held_parts, strict=True)
            ]
            whole = Part(x, y, _log_odds(y))
            self.calibration = Calibration.fit(
                np.concatenate(sums),
                np.concatenate([part.y for part in held_parts]),
                rate=float(expit(whole.start)),
                choices=1,  # the rounds
                groups=groups[np.concatenate([held for _, held in folds])],
                most=1.0,  # trees on all of the training part reach no less far
            )
            self.booster, _ = self.train(whole, training, self.rounds)
            task.advance(most - self.rounds)
        run.note(rounds=self.rounds, calibration=self.calibration.to_json())

    def predict(self, clips: Clips, run: Run) -> NDArray[np.float64]:
        """Return P(match) of each clip; see `Matcher.predict`."""
        booster = self.fitted(self.booster)
        if not len(clips):
            return np.zeros(0)
        x, _ = self._table(clips, run)
        threads = _threads(len(clips), run)
        sums = self.margins(booster, x, self.rounds, threads, self.device(run))
        return self.calibration(sums)

    def save(self, folder: Path) -> None:
        """Write the library's model file and a JSON of the columns and the calibration."""
        self.write(self.fitted(self.booster), folder / self.model_file)
        state = {
            "columns": self.columns,
            "tasks": self.categories.tasks,
            "grades": self.categories.grades,
            "calibration": self.calibration.to_json(),
            "rounds": self.rounds,
            "probe": probe(),
            **self.fingerprint(),
        }
        (folder / STATE).write_text(json.dumps(state, indent=1), encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Restore what `save` wrote. Raises `UserError` where it does not fit this version."""
        try:
            state = json.loads((folder / STATE).read_text(encoding="utf-8"))
            self.booster = self.read(folder / self.model_file)
            self.categories = Categories(_words(state["tasks"]), _words(state["grades"]))
            self.columns = list(_words(state["columns"]))
            self.calibration = Calibration.from_json(state["calibration"])
            self.rounds, fitted_on = int(state["rounds"]), dict(state["probe"])
            if len(self.columns) != self.features(self.booster):
                raise ValueError(f"{STATE} names {len(self.columns)} features, not its booster's")
            if not 0 < self.rounds <= MOST_ROUNDS:
                raise ValueError(f"rounds must be 1 to {MOST_ROUNDS}")
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise UserError(f"{folder}: not a saved {self.library} matcher ({reason})") from None
        now = probe()
        moved = [
            name
            for name in {**fitted_on, **now}
            if not np.isclose(fitted_on.get(name, np.nan), now.get(name, np.nan), 1e-3, 1e-3)
        ]
        if moved:
            raise UserError(
                f"{folder}: this model was fitted on another version of the features "
                f"({moved[0]} and {len(moved) - 1} more differ); fit it again"
            )
        hearing = self.hearing()
        if hearing is not None:
            hearing.check(state, folder)


def _words(content: Any) -> tuple[str, ...]:
    if not isinstance(content, list) or not all(isinstance(word, str) for word in content):
        raise ValueError(f"{brief(content)} must be a list of texts")
    return tuple(content)


def _threads(clips: int, run: Run) -> int:
    """Return how many threads pay: on few clips they wait for each other more than they work."""
    return max(1, min(run.workers, clips // CLIPS_A_THREAD))


def _log_odds(y: Vector) -> float:
    """Return the log odds of the base rate, with half a clip of each class added."""
    return float(logit((y.sum() + 0.5) / (y.size + 1)))


def _best_rounds(curves: list[Vector], sizes: list[int]) -> int:
    """Return the rounds with the least mean log loss; a fold that stopped keeps its last value."""
    longest = max(map(len, curves))
    padded = [np.pad(curve, (0, longest - len(curve)), mode="edge") for curve in curves]
    return int(np.argmin(np.average(padded, axis=0, weights=sizes))) + 1
