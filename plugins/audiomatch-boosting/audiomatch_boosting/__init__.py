"""Gradient boosting for audiomatch: matchers `xgboost` and `lightgbm`."""

from __future__ import annotations

from audiomatch import Matcher, MatcherInfo, hookimpl

QUICK = {"rounds": 100, "learning_rate": 0.1, "inner_folds": 3}


def _xgboost() -> type[Matcher]:
    from audiomatch_boosting.xgb import XgboostMatcher

    return XgboostMatcher


def _lightgbm() -> type[Matcher]:
    from audiomatch_boosting.lgb import LightgbmMatcher

    return LightgbmMatcher


@hookimpl
def audiomatch_matchers() -> list[MatcherInfo]:
    """Offer the two boosting matchers."""
    presets = {"default": {}, "quick": QUICK}
    features = "on features of the audio, the text, task and grade"
    return [
        MatcherInfo("xgboost", f"XGBoost {features}", _xgboost, presets),
        MatcherInfo("lightgbm", f"LightGBM {features}", _lightgbm, presets),
    ]
