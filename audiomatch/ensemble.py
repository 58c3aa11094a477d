"""`ensemble`: several matchers as one, by stacking or by a weighted mean."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from pydantic import Field, field_validator, model_validator

from audiomatch import plugins
from audiomatch.cache import ArrayCache
from audiomatch.clips import Clips
from audiomatch.combining import COMBINERS, Combiner, Method, Probabilities, WeightedMean
from audiomatch.config import MatcherConfig
from audiomatch.contract import refused_clips
from audiomatch.ensemble_members import Member, predict_members
from audiomatch.errors import UserError, WeightsError
from audiomatch.files import write_json
from audiomatch.held_out import held_out_predictions, inner_parts
from audiomatch.intake import data_digest
from audiomatch.matcher import Matcher, Run
from audiomatch.running.identity import computed_by, digest_of
from audiomatch.spec import MatcherSpec, parse_matcher, parse_matchers

BAGS = "bags.json"
MOST_FOLDS = 20


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
        le=MOST_FOLDS,
        description="Grouped folds inside the training part that weights or a stack are learned "
        "from: each is a further fit of each member.",
    )
    bagging: bool = Field(
        False,
        description="Whether each member is kept as it was fitted without each inner fold, and the "
        "mean of their probabilities taken, in place of one fit on the whole training part.",
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


class Ensemble(Matcher):
    """A model stacked on the members' log odds, or the weighted mean of their probabilities.

    Weights and stack (Wolpert, 1992) are learned from predictions for grouped inner folds of the
    training part, so that they never see a prediction for a clip that the member was fitted on, nor
    the held-out fold. The members that they use are then fitted again on the whole training part,
    or kept as fitted without each inner fold (a committee: Krogh and Vedelsby, 1995).
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
        self.members = [Member(*parts) for parts in zip(specs, matchers, turns, strict=True)]
        further = (name for one in matchers for name in one.further_columns)
        self.further_columns = tuple(dict.fromkeys(further))
        self._fitted = [[member] for member in self.members]
        self._combiner: Combiner | None = None

    @property
    def labels(self) -> list[str]:
        """What the members are called."""
        return [member.label for member in self.members]

    @property
    def used(self) -> dict[int, list[Member]]:
        """The members that the combiner uses, by position, each as often as it is fitted."""
        return {at: self._fitted[at] for at in self.fitted(self._combiner).used}

    def fingerprint(self) -> dict[str, str]:
        """Return for each member a digest of its plugin, its code, its config and its weights."""
        return {member.label: member.digest() for member in self.members}

    def further_data(self) -> list[str]:
        """Return what the members learn from beyond the training part."""
        found = (data for member in self.members for data in member.matcher.further_data())
        return list(dict.fromkeys(found))

    def refuses(self, clips: Clips, run: Run) -> list[str | None]:
        """Return for each clip why the first member that cannot take it refuses it."""
        used = self._fitted if self._combiner is None else self.used.values()
        found = [refused_clips(fitted[0].matcher, clips, run) for fitted in used]
        return [next(filter(None, reasons), None) for reasons in zip(*found, strict=True)]

    def fit(self, train: Clips, run: Run) -> None:
        """Learn weights or stack on inner folds, then fit every member used on all of `train`.

        With `bagging` they are as they were fitted without each inner fold.
        """
        kept: dict[str, Member] = {}
        self._combiner = self._fit_combiner(train, run, kept)
        self._fitted = [[member] for member in self.members]
        if self.config.bagging:
            parts = [part for part, _ in inner_parts(train, self.config.inner_folds, run)]
            for at in self.used:
                self._fitted[at] = [self._fitted_on(part, at, run, kept) for part in parts]
            names = {f"{one.label}, part {number}": one for number, one in self._numbered()}
        else:
            names = {one.label: one for _, one in self._numbered()}
            for member in names.values():
                member.fit(train, run)
        run.note(members={name: one.notes for name, one in names.items()})

    def _numbered(self) -> Iterator[tuple[int, Member]]:
        """Give each fit of each member used, with its place among the member's."""
        for fitted in self.used.values():
            yield from enumerate(fitted)

    def _fitted_on(self, part: Clips, at: int, run: Run, kept: dict[str, Member]) -> Member:
        """Return a member fitted on a part, which is kept where it is asked for again."""
        key = digest_of([at, data_digest(part), part.ids])
        if key not in kept:
            kept[key] = self.members[at].again()
            kept[key].fit(part, run)
        return kept[key]

    def predict(self, clips: Clips, run: Run) -> Probabilities:
        """Return P(match) of each clip."""
        p_match = predict_members([*self.used.values()], clips, run)
        return self.fitted(self._combiner)(p_match, clips)

    def _fit_combiner(self, train: Clips, run: Run, kept: dict[str, Member]) -> Combiner:
        config, count = self.config, len(self.members)
        if isinstance(config.weights, tuple):
            return WeightedMean.of(config.weights)
        if config.method == "mean" and (config.weights == "equal" or count == 1):
            return WeightedMean.of([1.0] * count)
        p_match = self._inner_predictions(train, run, kept)
        combiner = COMBINERS[config.method].fit(p_match, train, run)
        run.note(**combiner.facts(self.labels))
        return combiner

    def _inner_predictions(self, train: Clips, run: Run, kept: dict[str, Member]) -> Probabilities:
        """Return shape (clips, members). Cached, so that ensembles that share a member share them.

        With `bagging` the members that are fitted for them are put in `kept`.
        """
        cache = ArrayCache(run, "inner", computed_by(__name__))
        digests = [member.digest() for member in self.members]

        def predict(inner: Clips, held_out: Clips) -> Probabilities:
            def compute(missing: list[int]) -> Iterator[Probabilities]:
                for at in missing:
                    fitted = self._fitted_on(inner, at, run, kept)
                    yield predict_members([[fitted]], held_out, run)[:, 0]
                    if not self.config.bagging:
                        kept.clear()  # a member may be large

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
        for position, fitted in self.used.items():
            for number, member in enumerate(fitted):
                member.save(folder / self._place(position, number))
        self.fitted(self._combiner).save(folder)
        if self.config.bagging:
            write_json(folder / BAGS, {"fits": [len(fitted) for fitted in self._fitted]})

    def load(self, folder: Path) -> None:
        """Read them back."""
        self._combiner = COMBINERS[self.config.method].load(folder, len(self.members))
        fits = _fits(folder, len(self.members)) if self.config.bagging else [1] * len(self.members)
        for position in self.used:
            self._fitted[position] = [self.members[position].again() for _ in range(fits[position])]
            for number, member in enumerate(self._fitted[position]):
                member.load(folder / self._place(position, number))

    def _place(self, position: int, number: int) -> str:
        return f"member-{position}" + (f"-{number}" if self.config.bagging else "")


def _fits(folder: Path, members: int) -> list[int]:
    """Return how often each member was fitted; raises `UserError` where the file is damaged."""
    try:
        fits = json.loads((folder / BAGS).read_text(encoding="utf-8"))["fits"]
    except (OSError, ValueError, KeyError, TypeError):
        fits = None
    if not (
        isinstance(fits, list)
        and len(fits) == members
        and all(type(count) is int and 1 <= count <= MOST_FOLDS for count in fits)
    ):
        raise UserError(f"{folder / BAGS}: missing or damaged; save the model again")
    return fits
