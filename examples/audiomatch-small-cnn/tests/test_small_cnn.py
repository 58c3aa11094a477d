"""Needs the plugin installed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from audiomatch_small_cnn.matcher import SmallCnnConfig, SmallCnnMatcher
from audiomatch_torch.testing import use_on_pretend_device

from audiomatch.testing import parametrize_with_checks
from audiomatch.testing.corpus import make_toy


@parametrize_with_checks(["small-cnn"], skip=["save-load", "stray-files"])
def test_contract(matcher: str, check: Callable[[str], None]) -> None:
    check(matcher)


def test_it_computes_on_the_device_alone(tmp_path: Path) -> None:
    train = make_toy(tmp_path / "toy").train
    use_on_pretend_device(lambda: SmallCnnMatcher(SmallCnnConfig(epochs=1)), train, tmp_path)
