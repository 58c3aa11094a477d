"""How an `ensemble` makes one probability of its members': by weights, or by a model on top.

A combiner is learned from predictions of clips that the members were not fitted on. It is given
P(match) by the members that it uses, float64 (n, used).
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from audiomatch.calibration import logits_of
from audiomatch.clips import Clips
from audiomatch.errors import UserError
from audiomatch.lexicon import with_nonword
from audiomatch.lightgbm_text import features_of
from audiomatch.matcher import Run

Method = Literal["mean", "logistic", "lightgbm"]
Probabilities = NDArray[np.float64]

STATE = "ensemble.json"
TREES = "stack.txt"
SMALLEST = 1e-6  # keeps the logit finite where a member predicts 0 or 1
LEAST_SHARE = 0.01  # what weighs less would cost a fit and tell nothing
_STEPS = 2_000


class Combiner(ABC):
    """What makes one probability of several."""

    @classmethod
    @abstractmethod
    def fit(cls, p_match: Probabilities, train: Clips, run: Run) -> Self:
        """Learn from out-of-fold P(match) of labelled clips, (n, members)."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path, members: int) -> Self:
        """Read what `save` wrote; raises `UserError` for anything else."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write it into an existing folder."""

    @abstractmethod
    def __call__(self, p_match: Probabilities, clips: Clips) -> Probabilities:
        """Return P(match) of each clip, (n,)."""

    @abstractmethod
    def facts(self, labels: Sequence[str]) -> dict[str, Any]:
        """Return what is noted with the results; `labels` are those of all members."""

    @property
    @abstractmethod
    def used(self) -> list[int]:
        """Which members it uses, by position."""


@dataclass(frozen=True)
class WeightedMean(Combiner):
    """The members' probabilities in weights that add up to 1 (the linear opinion pool)."""

    weights: Probabilities

    @classmethod
    def of(cls, weights: Sequence[float] | Probabilities) -> WeightedMean:
        """Take weights by their shares of the sum."""
        return cls(np.asarray(weights, np.float64) / np.sum(weights))

    @classmethod
    def fit(cls, p_match: Probabilities, train: Clips, run: Run) -> WeightedMean:  # noqa: ARG003
        """Learn the weights of least log loss (stacking of distributions: Yao et al., 2018).

        The loss is convex in them, and a member alone is one choice of them, so that the pool is
        never worse than its best member on these clips. EM finds them as it finds the proportions
        of a mixture.
        """
        right = np.where(train.labels[:, None] == 1, p_match, 1 - p_match).clip(1e-15)
        weights = np.full(right.shape[1], 1 / right.shape[1])
        for _ in range(_STEPS):
            shares = weights * right  # (n, members)
            weights = (shares / shares.sum(axis=1, keepdims=True)).mean(axis=0)
        pool = cls.of(np.where(weights < LEAST_SHARE, 0, weights))
        alone = -np.log(right).mean(axis=0)
        if -np.log(right @ pool.weights).mean() < alone.min():
            return pool
        return cls(np.eye(len(weights))[alone.argmin()])

    @classmethod
    def load(cls, folder: Path, members: int) -> WeightedMean:
        """Read the weights; a folder of a release without them holds the plain mean."""
        if not (folder / STATE).is_file():
            return cls.of([1.0] * members)
        weights = _numbers(folder, "weights", members)
        if (weights < 0).any() or abs(weights.sum() - 1) > SMALLEST:
            raise UserError(f"{folder / STATE}: weights must be shares of 1")
        return cls(weights)

    def save(self, folder: Path) -> None:
        """Write the weights."""
        _write(folder, weights=self.weights.tolist())

    def __call__(self, p_match: Probabilities, clips: Clips) -> Probabilities:  # noqa: ARG002
        """Return P(match) of each clip."""
        pooled: Probabilities = (p_match * self.weights[self.used]).sum(axis=1)
        return pooled.clip(0, 1)  # of rounding

    def facts(self, labels: Sequence[str]) -> dict[str, Any]:
        """Return the weight of each member."""
        return {"member_weights": dict(zip(labels, self.weights.tolist(), strict=True))}

    @property
    def used(self) -> list[int]:
        """Those that weigh anything."""
        found: list[int] = np.flatnonzero(self.weights).tolist()
        return found


@dataclass(frozen=True)
class Stack(Combiner):
    """A model on the members' log odds, the task, and whether the text holds a nonword.

    Attributes:
        members: how many there are.
        tasks: those that it was learned on, where there are several.
        model: its numbers.
    """

    members: int
    tasks: tuple[str, ...]
    model: Any

    @property
    def used(self) -> list[int]:
        """All members."""
        return list(range(self.members))

    @property
    def width(self) -> int:
        """How many inputs it has."""
        return 2 * self.members + 1 + len(self.tasks)

    def names(self, labels: Sequence[str]) -> list[str]:
        """Return what the inputs are called."""
        in_nonwords = [f"{label} in nonwords" for label in labels]
        return [*labels, "nonword", *in_nonwords, *(f"task {task}" for task in self.tasks)]

    def inputs(self, p_match: Probabilities, clips: Clips) -> Probabilities:
        """Return what the model reads of each clip, (n, width)."""
        odds = logits_of(p_match, SMALLEST)  # (n, members)
        nonword = with_nonword(clips.texts)[:, None]  # (n, 1)
        task = _tasks(clips)[:, None] == np.array([*self.tasks], dtype=object)  # (n, tasks)
        return np.concatenate([odds, nonword, nonword * odds, task], axis=1)


class LogisticStack(Stack):
    """A logistic regression; `model` holds its weights, then its offset."""

    @classmethod
    def fit(cls, p_match: Probabilities, train: Clips, run: Run) -> LogisticStack:
        """Fit the regression, with the penalty that suits clips of other groups."""
        from audiomatch.floors.logistic import fit_logistic  # scikit-learn: predicting needs none

        inputs = cls(p_match.shape[1], _several(train), None).inputs(p_match, train)
        fitted = fit_logistic(inputs, np.arange(len(train)), train, run.seed)
        numbers = np.append(fitted.coefficients, fitted.intercept)
        return cls(p_match.shape[1], _several(train), numbers)

    @classmethod
    def load(cls, folder: Path, members: int) -> LogisticStack:
        """Read its numbers."""
        made = cls(members, _known_tasks(folder), None)
        return cls(members, made.tasks, _numbers(folder, "model", made.width + 1))

    def save(self, folder: Path) -> None:
        """Write its numbers."""
        _write(folder, tasks=self.tasks, model=self.model.tolist())

    def __call__(self, p_match: Probabilities, clips: Clips) -> Probabilities:
        """Return P(match) of each clip."""
        own = (self.inputs(p_match, clips) * self.model[:-1]).sum(axis=1)
        return np.asarray(expit(own + self.model[-1]), np.float64)

    def facts(self, labels: Sequence[str]) -> dict[str, Any]:
        """Return the weight of each input."""
        return {"stack": dict(zip(self.names(labels), self.model.tolist(), strict=False))}


class TreeStack(Stack):
    """Boosted trees; `model` is a booster of LightGBM."""

    SHAPE: ClassVar[dict[str, Any]] = {
        "objective": "binary",
        "num_leaves": 4,
        "learning_rate": 0.05,
        "lambda_l2": 1.0,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }

    @classmethod
    def fit(cls, p_match: Probabilities, train: Clips, run: Run) -> TreeStack:
        """Grow the trees."""
        lightgbm = _lightgbm()
        inputs = cls(p_match.shape[1], _several(train), None).inputs(p_match, train)
        least = max(1, min(20, len(train) // 10))
        options = {"min_data_in_leaf": least, "seed": run.seed, "num_threads": run.workers}
        data = lightgbm.Dataset(inputs, train.labels.astype(float))
        booster = lightgbm.train({**cls.SHAPE, **options}, data, num_boost_round=60)
        return cls(p_match.shape[1], _several(train), booster)

    @classmethod
    def load(cls, folder: Path, members: int) -> TreeStack:
        """Read the trees."""
        made = cls(members, _known_tasks(folder), None)
        text = (folder / TREES).read_bytes().decode()
        if features_of(text) != made.width:
            raise UserError(f"{folder / TREES}: is a stack of other inputs; fit it again")
        return cls(members, made.tasks, _lightgbm().Booster(model_str=text))

    def save(self, folder: Path) -> None:
        """Write the trees."""
        _write(folder, tasks=self.tasks)
        self.model.save_model(folder / TREES)

    def __call__(self, p_match: Probabilities, clips: Clips) -> Probabilities:
        """Return P(match) of each clip."""
        return np.asarray(self.model.predict(self.inputs(p_match, clips)), np.float64)

    def facts(self, labels: Sequence[str]) -> dict[str, Any]:
        """Return how often each input is split by."""
        counts = self.model.feature_importance().tolist()
        return {"stack": dict(zip(self.names(labels), counts, strict=True))}


COMBINERS: dict[Method, type[Combiner]] = {
    "mean": WeightedMean,
    "logistic": LogisticStack,
    "lightgbm": TreeStack,
}


def _tasks(clips: Clips) -> NDArray[np.object_]:
    return clips["task"].to_numpy(object)


def _several(train: Clips) -> tuple[str, ...]:
    """Return the tasks of clips, sorted; none where there is one."""
    found = sorted(set(_tasks(train)))
    return tuple(found) if len(found) > 1 else ()


def _write(folder: Path, **state: Any) -> None:
    (folder / STATE).write_text(json.dumps(state), encoding="utf-8")


def _read(folder: Path) -> dict[str, Any]:
    try:
        state = json.loads((folder / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        state = None
    if not isinstance(state, dict):
        raise UserError(f"{folder / STATE}: is missing or no JSON object; fit the ensemble again")
    return state


def _known_tasks(folder: Path) -> tuple[str, ...]:
    tasks = _read(folder).get("tasks")
    if not isinstance(tasks, list) or not all(isinstance(task, str) for task in tasks):
        raise UserError(f"{folder / STATE}: is a stack of other inputs; fit it again")
    return tuple(tasks)


def _numbers(folder: Path, name: str, count: int) -> Probabilities:
    try:
        numbers = np.asarray(_read(folder).get(name), np.float64)
    except (TypeError, ValueError):
        numbers = np.empty(0)
    if numbers.shape != (count,) or not np.isfinite(numbers).all():
        raise UserError(f"{folder / STATE}: {name} must be {count} finite numbers")
    return numbers


def _lightgbm() -> Any:
    try:
        import lightgbm
    except ImportError:
        raise UserError("ensemble: method=lightgbm needs lightgbm: pip install lightgbm") from None
    return lightgbm
