"""The matcher under test, with what its checks share: the toy corpus and one fitted matcher."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiomatch.clips import Clips
from audiomatch.contract import fit_matcher, predict_matches
from audiomatch.matcher import Matcher, MatcherInfo, Run
from audiomatch.offers import Offer, Plugin
from audiomatch.spec import MatcherSpec
from audiomatch.testing.corpus import Toy, make_edges, make_toy
from audiomatch.testing.results import Failed

# Stands for the plugin of a class that no installed one offers.
NOT_INSTALLED = Plugin("none", "none", "0", "")


def installed(offer: Offer) -> bool:
    """Whether an installed plugin offers it."""
    return offer.plugin is not NOT_INSTALLED


@dataclass
class Subject:
    """A matcher under test.

    Attributes:
        offer: how it is registered.
        spec: its name, preset and options.
        make: makes a new one, not fitted.
        run: where and how it works; every use takes a copy with its own notes.
        scratch: a folder for what the checks write.
    """

    offer: Offer
    spec: MatcherSpec
    make: Callable[[], Matcher]
    run: Run
    scratch: Path
    _fitted: Matcher | Exception | None = field(default=None, repr=False)
    _predicted: NDArray[np.float64] | None = field(default=None, repr=False)
    _toy: Toy | None = field(default=None, repr=False)
    _edges: dict[str, Clips] | None = field(default=None, repr=False)
    notes: dict[str, Any] = field(default_factory=dict)
    changed: str = ""  # what a fit changed of the clips that it was given

    @property
    def info(self) -> MatcherInfo:
        """What its plugin says of it."""
        return self.offer.info

    @property
    def toy(self) -> Toy:
        """The toy corpus, written when first asked for."""
        if self._toy is None:
            self._toy = make_toy(self.scratch / "toy")
        return self._toy

    @property
    def few(self) -> Clips:
        """Half of the training part, for checks that need a fit but no quality."""
        voices = sorted(set(self.toy.train["voice"]))
        return self.toy.train.take(self.toy.train["voice"].isin(voices[::2]).to_numpy())

    @property
    def edges(self) -> dict[str, Clips]:
        """The clips at the edges of what is allowed, one each, labelled."""
        if self._edges is None:
            self._edges = make_edges(self.scratch / "edges")
        return self._edges

    def made(self) -> Matcher:
        """Make a matcher whose numbers are its own: low without speech where it says so itself."""
        matcher = self.make()
        matcher.needs_speech = False
        return matcher

    def fit(self, train: Clips, run: Run | None = None) -> Matcher:
        """Make a matcher and fit it."""
        matcher = self.made()
        given = fit_matcher(matcher, train, run or self.own_run())
        self.changed = self.changed or what_changed(
            given, train.only(matcher.further_columns).normalised()
        )
        return matcher

    def own_run(self, **changes: Any) -> Run:
        """Return a copy of the run with notes of its own."""
        return replace(self.run, notes={}, **changes)

    @property
    def fitted(self) -> Matcher:
        """One matcher fitted on the training part; where that raised it raises again."""
        if self._fitted is None:
            run = self.own_run()
            try:
                self._fitted = self.fit(self.toy.train, run)
            except Exception as error:  # noqa: BLE001 - raised again where it is asked for
                self._fitted = error
            self.notes = run.notes
        if isinstance(self._fitted, Exception):
            raise self._fitted
        return self._fitted

    @property
    def predicted(self) -> NDArray[np.float64]:
        """What the fitted matcher predicts for the held-out part."""
        if self._predicted is None:
            self._predicted = self.predict(self.fitted, self.toy.held_out)
        return self._predicted

    def predict(
        self, matcher: Matcher, clips: Clips, run: Run | None = None
    ) -> NDArray[np.float64]:
        """Predict, without labels; raises `Failed` for a wrong shape, NaN or out of [0, 1]."""
        try:
            return predict_matches(matcher, clips, run or self.own_run())
        except ValueError as error:
            if str(error).startswith("predict gave"):
                raise Failed(str(error)) from error
            raise

    @property
    def noise(self) -> float:
        """How far two predictions of one clip may differ by the order of sums alone."""
        if self.run.device.startswith("cpu") and self.run.precision in ("auto", "fp32"):
            return 1e-4
        return 1e-3 if self.run.precision == "fp32" else 2e-2

    @property
    def same(self) -> float:
        """How far two predictions by the same sums in the same order may differ."""
        return 1e-6 if self.run.device.startswith("cpu") else 1e-3


def what_changed(given: Clips, before: Clips) -> str:
    """Return which column, or what else the core knows, differs between two clips, or nothing."""
    if list(given.frame.columns) != list(before.frame.columns):
        return "columns"
    names = map(str, before.frame.columns)
    columns = [name for name in names if not given[name].equals(before[name])]
    known = [
        name
        for name in {**before.known, **given.known}
        if given.known.get(name) is not before.known.get(name)
    ]
    return next(iter(columns + known), "")


def require_equal(
    found: NDArray[np.float64],
    wanted: NDArray[np.float64],
    within: float,
    clips: Clips,
    change: str,
) -> str:
    """Raise `Failed` where two predictions of `clips` differ by more than `within`."""
    if not len(clips):
        return ""
    apart = np.abs(found - wanted)
    at = int(np.argmax(apart))
    if apart[at] > within:
        raise Failed(
            f"{change} moves clip {clips.ids[at]} from {wanted[at]:.6g} to {found[at]:.6g} "
            f"(allowed: {within:g})"
        )
    return f"moved by at most {apart[at]:.1g}"
