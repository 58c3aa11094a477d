"""Matchers that a test makes plugins of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from pydantic import Field

from audiomatch import Matcher, MatcherInfo, Run, hookimpl
from audiomatch.clips import Clips
from audiomatch.config import MatcherConfig
from audiomatch.plugins import Registry

SLOW_FLOORS = ("text-only", "audio-only", "pace")


class ToyConfig(MatcherConfig):
    """Options of the toy."""

    strength: float = Field(1.0, ge=0, le=10, description="how sure it is")


class Toy(Matcher):
    """Predicts the rate of matches in the training part, and counts its calls."""

    Config = ToyConfig
    fits = 0

    def fit(self, train: Clips, run: Run) -> None:
        type(self).fits += 1
        self.rate = float(train.labels.mean())

    def predict(self, clips: Clips, run: Run) -> Any:
        return np.full(len(clips), self.rate)

    def save(self, folder: Path) -> None:
        (folder / "rate.txt").write_text(repr(self.rate))

    def load(self, folder: Path) -> None:
        self.rate = float((folder / "rate.txt").read_text())


def leave_out_slow_floors(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the floors that fit a model of their own."""
    offers = registry.matchers()
    quick = {name: offer for name, offer in offers.items() if name not in SLOW_FLOORS}
    monkeypatch.setattr(registry, "matchers", lambda: quick)


def toy_plugin(
    matcher: type[Matcher] = Toy, name: str = "toy", **hooks: Callable[..., Any]
) -> ModuleType:
    """Make a plugin module that offers one matcher, and any further hooks."""
    module = ModuleType("toy")

    @hookimpl
    def audiomatch_matchers() -> list[MatcherInfo]:
        presets, renamed = {"weak": {"strength": 0.1}}, {"feeble": "weak"}
        return [
            MatcherInfo(name, "a toy", lambda: matcher, presets=presets, renamed_presets=renamed)
        ]

    module.audiomatch_matchers = audiomatch_matchers  # type: ignore[attr-defined]
    for hook, function in hooks.items():
        setattr(module, hook, hookimpl(function))
    return module
