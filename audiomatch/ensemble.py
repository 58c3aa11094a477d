"""`ensemble`: several matchers as one, by the mean or by stacking."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator
from scipy.special import expit

from audiomatch import plugins
from audiomatch.calibration import logits_of
from audiomatch.clips import Clips
from audiomatch.config import MatcherConfig
from audiomatch.contract import fit_matcher, predict_matches, refused_clips
from audiomatch.errors import UserError
from audiomatch.held_out import held_out_predictions
from audiomatch.lightgbm_text import features_of
from audiomatch.matcher import Matcher, Run
from audiomatch.model import card_of, load_model, save_model
from audiomatch.running.identity import computed_by, digest_of
from audiomatch.spec import MatcherSpec, parse_matcher, parse_matchers

STATE = "ensemble.json"
TREES = "stack.txt"
# Keeps the logit finite where a member predicts 0 or 1.
SMALLEST = 1e-6

Probabilities = NDArray[np.float64]


class EnsembleConfig(MatcherConfig):
    """Options of `ensemble`."""

    method: Literal["mean", "logistic", "lightgbm"] = Field(
        "mean", description="The mean of the probabilities, or a model stacked on their log odds."
    )
    inner_folds: int = Field(
        3, ge=2, le=20, description="Grouped folds inside the training part, to train a stack on."
    )

    members: tuple[str, ...] = Field(
        (),
        validate_default=True,
        min_length=1,
        description="Matchers in round brackets, with commas between: (xgboost,prior). One that is "
        "named again is fitted with the next seed. Where none is named: all matchers installed "
        "that offer themselves as members.",
    )

    @field_validator("members", mode="before")
    @classmethod
    def _parse(cls, value: Any) -> tuple[str, ...]:
        if value == ():
            return _offered_members()
        text = value if isinstance(value, str) else ",".join(map(str, value))
        inner = text[1:-1] if text.startswith("(") and text.endswith(")") else text
        try:
            return tuple(map(str, parse_matchers(inner, repeats=True)))
        except UserError as error:
            raise ValueError(str(error)) from None


def _offered_members() -> tuple[str, ...]:
    """Return the matchers that offer themselves as members, each by its preset."""
    offered = tuple(
        str(MatcherSpec(name, offer.info.member))
        for name, offer in plugins.registry().matchers().items()
        if offer.info.member is not None
    )
    if len(offered) < 2:
        raise ValueError(
            "none is named, and fewer than two of the matchers installed offer themselves "
            f"({', '.join(offered) or 'none'}); name them, as in ensemble@members=(a,b)"
        )
    return offered


@dataclass
class _Member:
    """A member.

    Attributes:
        spec: as it is named.
        matcher: made of it.
        turn: how many before it are the same matcher with the same options: it is added to the
            seed, so that a member named twice is two fine-tunes.
    """

    spec: MatcherSpec
    matcher: Matcher
    turn: int

    @property
    def label(self) -> str:
        return f"{self.spec} (seed + {self.turn})" if self.turn else str(self.spec)

    def run(self, run: Run) -> Run:
        """Return the member's own run: its seed, and notes of its own."""
        return replace(run, seed=(run.seed + self.turn) % 2**32, notes={})

    def again(self) -> _Member:
        """Return it anew, not fitted."""
        return replace(self, matcher=plugins.registry().create(self.spec))


class Ensemble(Matcher):
    """The mean of the members' probabilities, or a model stacked on their log odds.

    A stack (Wolpert, 1992) is trained on predictions for grouped inner folds of the training part,
    so that it never sees a prediction for a clip that the member was fitted on, nor the held-out
    fold; the members are then fitted again on the whole training part.
    """

    Config = EnsembleConfig

    def __init__(self, config: EnsembleConfig) -> None:
        """Make the members; raises `UserError` for one that does not exist."""
        super().__init__(config)
        specs = [parse_matcher(text) for text in config.members]
        matchers = [plugins.registry().create(spec) for spec in specs]
        same = [(spec.name, m.config) for spec, m in zip(specs, matchers, strict=True)]
        turns = [same[:position].count(one) for position, one in enumerate(same)]
        self.members = [_Member(*parts) for parts in zip(specs, matchers, turns, strict=True)]
        further = (name for one in matchers for name in one.further_columns)
        self.further_columns = tuple(dict.fromkeys(further))
        self._stack: Callable[[Probabilities], Probabilities] = lambda p: p.mean(axis=1)
        self._save_stack: Callable[[Path], None] = lambda _folder: None

    def fingerprint(self) -> dict[str, str]:
        """Return for each member a digest of its plugin, its code, its config and its weights."""
        return {
            member.label: digest_of(
                [
                    computed_by(plugins.registry().offer(member.spec).plugin.module),
                    member.matcher.config.model_dump(mode="json"),
                    member.matcher.fingerprint(),
                ]
            )
            for member in self.members
        }

    def further_data(self) -> list[str]:
        """Return what the members learn from beyond the training part."""
        found = (data for member in self.members for data in member.matcher.further_data())
        return list(dict.fromkeys(found))

    def refuses(self, clips: Clips, run: Run) -> list[str | None]:
        """Return for each clip why the first member that cannot take it refuses it."""
        found = [refused_clips(member.matcher, clips, run) for member in self.members]
        return [next(filter(None, reasons), None) for reasons in zip(*found, strict=True)]

    def fit(self, train: Clips, run: Run) -> None:
        """Train the stack on inner folds if there is one, then every member on all of `train`."""
        if self.config.method != "mean":
            self._fit_stack(self._inner_predictions(train, run), train, run)
        notes = {}
        for member in self.members:
            notes[member.label] = _fit(member, train, run)
        run.note(members=notes)

    def predict(self, clips: Clips, run: Run) -> Probabilities:
        """Return P(match) of each clip."""
        return self._stack(_predict(self.members, clips, run))

    def _inner_predictions(self, train: Clips, run: Run) -> Probabilities:
        def predict(inner: Clips, held_out: Clips) -> Probabilities:
            fresh = [member.again() for member in self.members]
            for member in fresh:
                _fit(member, inner, run)
            return _predict(fresh, held_out, run)

        return held_out_predictions(predict, train, self.config.inner_folds, run)[0]

    def _fit_stack(self, p_match: Probabilities, train: Clips, run: Run) -> None:
        odds = logits_of(p_match, SMALLEST)
        if self.config.method == "logistic":
            from sklearn.linear_model import LogisticRegression

            model = LogisticRegression(max_iter=1000).fit(odds, train.labels)
            self._use_logistic(model.coef_[0], float(model.intercept_[0]))
            labels = [member.label for member in self.members]
            weights = zip(labels, model.coef_[0].tolist(), strict=True)
            run.note(stack=dict(weights))
        else:
            lightgbm = _lightgbm()
            data = lightgbm.Dataset(odds, train.labels.astype(float))
            options = {
                "objective": "binary",
                "num_leaves": 4,
                "learning_rate": 0.05,
                "min_data_in_leaf": max(1, min(20, len(train) // 10)),
                "lambda_l2": 1.0,
                "seed": run.seed,
                "deterministic": True,
                "force_row_wise": True,
                "num_threads": run.workers,
                "verbosity": -1,
            }
            self._use_trees(lightgbm.train(options, data, num_boost_round=60))

    def _use_logistic(self, weights: NDArray[np.float64], offset: float) -> None:
        self._stack = lambda p: expit((logits_of(p, SMALLEST) * weights).sum(axis=1) + offset)
        state = {"weights": weights.tolist(), "offset": offset}
        self._save_stack = lambda folder: _write(folder, state)

    def _use_trees(self, booster: Any) -> None:
        self._stack = lambda p: np.asarray(
            booster.predict(logits_of(p, SMALLEST)), dtype=np.float64
        )
        self._save_stack = lambda folder: booster.save_model(folder / TREES)

    def save(self, folder: Path) -> None:
        """Write each member as a model folder of its own, and the stack beside them."""
        for position, member in enumerate(self.members):
            offer = plugins.registry().offer(member.spec)
            card = card_of(member.spec, offer, member.matcher)
            save_model(folder / f"member-{position}", member.matcher, card)
        self._save_stack(folder)

    def load(self, folder: Path) -> None:
        """Read them back."""
        for position, member in enumerate(self.members):
            place = folder / f"member-{position}"
            member.matcher, card = load_model(place, plugins.registry())
            if card.matcher != str(member.spec):
                raise UserError(f"{place}: holds {card.matcher}, not the member {member.spec}")
        if self.config.method == "logistic":
            state = json.loads((folder / STATE).read_text(encoding="utf-8"))
            weights, offset = np.asarray(state["weights"], np.float64), float(state["offset"])
            if weights.shape != (len(self.members),) or not np.isfinite([*weights, offset]).all():
                raise UserError(f"{folder / STATE}: must hold a finite weight for each member")
            self._use_logistic(weights, offset)
        elif self.config.method == "lightgbm":
            text = (folder / TREES).read_bytes().decode()
            if features_of(text) != len(self.members):
                raise UserError(f"{folder / TREES}: is a stack of other members")
            self._use_trees(_lightgbm().Booster(model_str=text))


def _fit(member: _Member, train: Clips, run: Run) -> dict[str, Any]:
    """Fit a member under its own notes, and return them; a failure names the member."""
    own = member.run(run)
    try:
        fit_matcher(member.matcher, train, own)
    except UserError as error:
        raise UserError(f"member {member.label}: {error}") from error
    except Exception as error:
        raise RuntimeError(f"member {member.label}: {type(error).__name__}: {error}") from error
    return own.notes


def _predict(members: Sequence[_Member], clips: Clips, run: Run) -> Probabilities:
    """Return shape (clips, members)."""
    columns = [predict_matches(m.matcher, clips, m.run(run)) for m in members]
    return np.stack(columns, axis=1)


def _write(folder: Path, state: dict[str, Any]) -> None:
    (folder / STATE).write_text(json.dumps(state), encoding="utf-8")


def _lightgbm() -> Any:
    try:
        import lightgbm
    except ImportError:
        raise UserError("ensemble: method=lightgbm needs lightgbm: pip install lightgbm") from None
    return lightgbm
