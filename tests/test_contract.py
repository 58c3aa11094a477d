"""Every installed matcher keeps to the contract; those that train networks are slow."""

from __future__ import annotations

import pytest

from audiomatch import WeightsError
from audiomatch.plugins import registry
from audiomatch.testing import check_matcher

FAST = {"audiomatch-boosting", "audiomatch-phones"}


def matchers() -> list[object]:
    """Name every installed matcher, by its quick preset where it has one."""
    cases = []
    for name, offer in registry().matchers().items():
        spec = f"{name}:quick" if "quick" in offer.info.presets else name
        fast = offer.info.kind == "floor" or offer.plugin.distribution in FAST
        cases.append(pytest.param(spec, marks=() if fast else pytest.mark.slow))
    return cases


@pytest.mark.parametrize("matcher", matchers())
def test_contract(matcher: str) -> None:
    try:
        report = check_matcher(matcher)
    except WeightsError as error:
        pytest.skip(str(error))
    assert len(report.results_of("passed")) > len(report.results_of("skipped"))
