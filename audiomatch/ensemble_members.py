"""The members of an `ensemble`: each as fitted on all of a training part, or on parts of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from audiomatch import plugins
from audiomatch.clips import Clips
from audiomatch.combining import Probabilities
from audiomatch.contract import fit_matcher, predict_matches
from audiomatch.errors import UserError
from audiomatch.matcher import Matcher, Run
from audiomatch.model import card_of, load_model, save_model
from audiomatch.running.identity import computed_by, digest_of
from audiomatch.spec import MatcherSpec


@dataclass
class Member:
    """A member.

    Attributes:
        spec: as it is named.
        matcher: made of it.
        turn: how many before it are the same matcher with the same options: it is added to the
            seed, so that a member named twice is two fine-tunes.
        notes: of its fit.
    """

    spec: MatcherSpec
    matcher: Matcher
    turn: int
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """What it is called."""
        return f"{self.spec} (seed + {self.turn})" if self.turn else str(self.spec)

    def run(self, run: Run) -> Run:
        """Return the member's own run: its seed, and notes of its own."""
        return replace(run, seed=(run.seed + self.turn) % 2**32, notes={})

    def again(self) -> Member:
        """Return it anew, not fitted."""
        return replace(self, matcher=plugins.registry().create(self.spec), notes={})

    def digest(self) -> str:
        """Return that of its name, its plugin's code, its config and its weights."""
        code = computed_by(plugins.registry().offer(self.spec).plugin.module)
        config = self.matcher.config.model_dump(mode="json")
        return digest_of([self.spec.name, code, config, self.matcher.fingerprint()])

    def fit(self, train: Clips, run: Run) -> None:
        """Fit it under notes of its own; a failure names the member."""
        own = self.run(run)
        try:
            fit_matcher(self.matcher, train, own)
        except UserError as error:
            raise UserError(f"member {self.label}: {error}") from error
        except Exception as error:
            raise RuntimeError(f"member {self.label}: {type(error).__name__}: {error}") from error
        self.notes = own.notes

    def save(self, folder: Path) -> None:
        """Write it as a model folder of its own."""
        offer = plugins.registry().offer(self.spec)
        save_model(folder, self.matcher, card_of(self.spec, offer, self.matcher))

    def load(self, folder: Path) -> None:
        """Read what `save` wrote; raises `UserError` where it is another member."""
        self.matcher, card = load_model(folder, plugins.registry())
        if card.matcher != str(self.spec):
            raise UserError(f"{folder}: holds {card.matcher}, not the member {self.spec}")


def predict_members(members: Sequence[Sequence[Member]], clips: Clips, run: Run) -> Probabilities:
    """Return P(match) by each member, the mean of those that it was fitted as: (clips, members)."""
    columns = [
        np.mean([predict_matches(one.matcher, clips, one.run(run)) for one in fitted], axis=0)
        for fitted in members
    ]
    return np.stack(columns, axis=1)
