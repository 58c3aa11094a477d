"""Gradient boosting for audiomatch: matchers `xgboost` and `lightgbm`."""

from __future__ import annotations

from audiomatch import MatcherInfo, hookimpl

__version__ = "0.2.0"
PRESETS = {"default": {}, "quick": {"rounds": 100, "learning_rate": 0.1, "inner_folds": 3}}
FEATURES = "on features of the audio, the text, task and grade"


@hookimpl
def audiomatch_matchers() -> list[MatcherInfo]:
    """Offer the two boosting matchers."""
    return [
        MatcherInfo(
            name="xgboost",
            summary=f"XGBoost {FEATURES}",
            load="audiomatch_boosting.xgb:XgboostMatcher",
            presets=PRESETS,
            member="default",
        ),
        MatcherInfo(
            name="lightgbm",
            summary=f"LightGBM {FEATURES}",
            load="audiomatch_boosting.lgb:LightgbmMatcher",
            presets=PRESETS,
            member="default",
        ),
    ]
