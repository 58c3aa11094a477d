"""Test that a matcher keeps to the contract: `check_matcher`, `parametrize_with_checks`."""

from audiomatch.testing.checking import check_matcher, run_checks
from audiomatch.testing.parametrize import parametrize_with_checks
from audiomatch.testing.results import ContractError, Report, Result

__all__ = [
    "ContractError",
    "Report",
    "Result",
    "check_matcher",
    "parametrize_with_checks",
    "run_checks",
]
