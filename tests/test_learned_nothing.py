"""`audiomatch fit` says where a matcher learned nothing, and the model is saved whatever comes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import audiomatch
from audiomatch import Run, UserError
from audiomatch.clips import Clips
from audiomatch.plugins import Registry
from tests.toys import Toy, toy_plugin

Fitted = Callable[[type[Toy]], str]


class Able(Toy):
    """Gives long clips another probability than short ones."""

    def predict(self, clips: Clips, run: Run) -> Any:
        return np.where(clips.seconds > 1, 0.9, 0.1)


class Silent(Toy):
    """Cannot predict."""

    def predict(self, clips: Clips, run: Run) -> Any:
        raise UserError("out of breath")


@pytest.fixture
def fitted(
    plugin: Callable[..., Registry],
    command: Callable[..., tuple[int, str, str]],
    corpus: Path,
    tmp_path: Path,
) -> Fitted:
    """Fit a toy, and return all that is said of it."""

    def fit(matcher: type[Toy]) -> str:
        plugin(toy=toy_plugin(matcher))
        code, out, err = command("fit", "toy", corpus, "--out", tmp_path / "model")
        assert code == 0 and (tmp_path / "model" / "rate.txt").is_file()
        return out + err

    return fit


def test_a_base_rate_is_nothing(fitted: Fitted, tmp_path: Path) -> None:
    assert "toy learned nothing" in fitted(Toy)
    assert audiomatch.load(tmp_path / "model").learned_nothing() is None


def test_more_is_not(fitted: Fitted) -> None:
    assert "nothing" not in fitted(Able)


def test_a_model_that_does_not_predict_is_saved(fitted: Fitted) -> None:
    assert "the model is saved, but does not predict" in fitted(Silent)
