"""`ensemble`: several matchers as one, by stacking or by a weighted mean."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from pydantic import Field, field_validator, model_validator

from audiomatch import plugins
from audiomatch.cache import ArrayCache
from audiomatch.clips import Clips
from audiomatch.combining import COMBINERS, Combiner, Method, Probabilities, WeightedMean
from audiomatch.config import MatcherConfig
from audiomatch.contract import fit_matcher, predict_matches, refused_clips
from audiomatch.errors import UserError, WeightsError
from audiomatch.held_out import held_out_predictions
from audiomatch.intake import data_digest
from audiomatch.matcher import Matcher, Run
from audiomatch.model import card_of, load_model, save_model
from audiomatch.running.identity import computed_by, digest_of
from audiomatch.spec import MatcherSpec, parse_matcher, parse_matchers


class EnsembleConfig(MatcherConfig):
    """Options of `ensemble`."""

    method: Method = Field(
        "logistic",
        description="A model stacked on the members' log odds, the task, and whether the text "
        "holds a nonword; or mean for the weighted mean of the probabilities.",
    )
    weights: Literal["inner", "equal"] | tuple[float, ...] = Field(
        "inner",
        description="Of the mean, which others than inner ask for: inner for the convex weights of "
        "least log loss on inner folds; equal; or a number for each member in round brackets, as "
        "in (2,1).",
    )
    inner_folds: int = Field(
        3,
        ge=2,
        le=20,
        description="Grouped folds inside the training part that weights or a stack are learned "
        "from: each is a further fit of each member.",
    )

    members: tuple[str, ...] = Field(
        (),
        validate_default=True,
        min_length=1,
        description="Matchers in round brackets, with commas between: (xgboost,prior). One that is "
        "named again is fitted with the next seed. Where none is named: all matchers installed "
        "that offer themselves as members and have their weights.",
    )

    @model_validator(mode="before")
    @classmethod
    def _mean_of_weights(cls, given: Any) -> Any:
        weighs = isinstance(given, dict) and given.get("weights", "inner") != "inner"
        return {"method": "mean", **given} if weighs else given

    @field_validator("weights", mode="before")
    @classmethod
    def _numbers(cls, value: Any) -> Any:
        if isinstance(value, str) and value.startswith("(") and value.endswith(")"):
            return tuple(value[1:-1].split(","))
        return value

    @model_validator(mode="after")
    def _one_for_each(self) -> Self:
        if self.weights != "inner" and self.method != "mean":
            raise ValueError(f"method={self.method} takes no weights")
        if isinstance(self.weights, tuple):
            if len(self.weights) != len(self.members):
                raise ValueError(f"{len(self.weights)} weights for {len(self.members)} members")
            if min(self.weights) < 0 or not sum(self.weights):
                raise ValueError("weights must be 0 or more, and not all 0")
        return self

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
    presets = {
        name: offer.info.member
        for name, offer in plugins.registry().matchers().items()
        if offer.info.member is not None
    }
    specs = [MatcherSpec(name, preset) for name, preset in presets.items()]
    offered = tuple(str(spec) for spec in specs if _has_weights(spec))
    if len(offered) < 2:
        raise ValueError(
            "none is named, and fewer than two of the matchers installed offer themselves and "
            f"have their weights ({', '.join(offered) or 'none'}); "
            "name them, as in ensemble@members=(a,b)"
        )
    return offered


def _has_weights(spec: MatcherSpec) -> bool:
    """Whether a matcher starts from pretrained weights, or needs none."""
    try:
        return "scratch" not in plugins.registry().create(spec).fingerprint().values()
    except WeightsError:
        return False
    except UserError:
        return True  # it is made again as a member, where its fault is told


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

    def digest(self) -> str:
        """Return that of its name, its plugin's code, its config and its weights."""
        code = computed_by(plugins.registry().offer(self.spec).plugin.module)
        config = self.matcher.config.model_dump(mode="json")
        return digest_of([self.spec.name, code, config, self.matcher.fingerprint()])


class Ensemble(Matcher):
    """A model stacked on the members' log odds, or the weighted mean of their probabilities.

    Weights and stack (Wolpert, 1992) are learned from predictions for grouped inner folds of the
    training part, so that they never see a prediction for a clip that the member was fitted on, nor
    the held-out fold. The members that they use are then fitted again on the whole training part.
    """

    Config = EnsembleConfig
    config: EnsembleConfig

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
        self._combiner: Combiner | None = None

    @property
    def labels(self) -> list[str]:
        """What the members are called."""
        return [member.label for member in self.members]

    @property
    def used(self) -> dict[int, _Member]:
        """The members that the combiner uses, by position: the others are not fitted."""
        return {at: self.members[at] for at in self.fitted(self._combiner).used}

    def fingerprint(self) -> dict[str, str]:
        """Return for each member a digest of its plugin, its code, its config and its weights."""
        return {member.label: member.digest() for member in self.members}

    def further_data(self) -> list[str]:
        """Return what the members learn from beyond the training part."""
        found = (data for member in self.members for data in member.matcher.further_data())
        return list(dict.fromkeys(found))

    def refuses(self, clips: Clips, run: Run) -> list[str | None]:
        """Return for each clip why the first member that cannot take it refuses it."""
        members = self.members if self._combiner is None else self.used.values()
        found = [refused_clips(member.matcher, clips, run) for member in members]
        return [next(filter(None, reasons), None) for reasons in zip(*found, strict=True)]

    def fit(self, train: Clips, run: Run) -> None:
        """Learn weights or stack on inner folds, then fit every member used on all of `train`."""
        self._combiner = self._fit_combiner(train, run)
        run.note(members={one.label: _fit(one, train, run) for one in self.used.values()})

    def predict(self, clips: Clips, run: Run) -> Probabilities:
        """Return P(match) of each clip."""
        return self.fitted(self._combiner)(_predict([*self.used.values()], clips, run), clips)

    def _fit_combiner(self, train: Clips, run: Run) -> Combiner:
        config, count = self.config, len(self.members)
        if isinstance(config.weights, tuple):
            return WeightedMean.of(config.weights)
        if config.method == "mean" and (config.weights == "equal" or count == 1):
            return WeightedMean.of([1.0] * count)
        p_match = self._inner_predictions(train, run)
        combiner = COMBINERS[config.method].fit(p_match, train, run)
        run.note(**combiner.facts(self.labels))
        return combiner

    def _inner_predictions(self, train: Clips, run: Run) -> Probabilities:
        """Return shape (clips, members). Kept, so that ensembles that share a member share them."""
        cache = ArrayCache(run, "inner", computed_by(__name__))
        digests = [member.digest() for member in self.members]

        def predict(inner: Clips, held_out: Clips) -> Probabilities:
            def compute(missing: list[int]) -> Iterator[Probabilities]:
                for at in missing:
                    member = self.members[at].again()
                    _fit(member, inner, run)
                    yield _predict([member], held_out, run)[:, 0]

            parts = [data_digest(inner), data_digest(held_out), held_out.ids]
            where = [run.device_list, run.precision]
            keys = [
                digest_of([digest, member.run(run).seed, *where, *parts])
                for digest, member in zip(digests, self.members, strict=True)
            ]
            return np.stack(cache.fill(keys, compute), axis=1)

        return held_out_predictions(predict, train, self.config.inner_folds, run)[0]

    def save(self, folder: Path) -> None:
        """Write each member used as a model folder of its own, and the combiner beside them."""
        for position, member in self.used.items():
            offer = plugins.registry().offer(member.spec)
            card = card_of(member.spec, offer, member.matcher)
            save_model(folder / f"member-{position}", member.matcher, card)
        self.fitted(self._combiner).save(folder)

    def load(self, folder: Path) -> None:
        """Read them back."""
        self._combiner = COMBINERS[self.config.method].load(folder, len(self.members))
        for position, member in self.used.items():
            place = folder / f"member-{position}"
            member.matcher, card = load_model(place, plugins.registry())
            if card.matcher != str(member.spec):
                raise UserError(f"{place}: holds {card.matcher}, not the member {member.spec}")


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
