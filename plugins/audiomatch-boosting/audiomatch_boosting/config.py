"""The options of the boosting matchers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from audiomatch.config import MatcherConfig


class BoostingConfig(MatcherConfig):
    """Options that `xgboost` and `lightgbm` have in common."""

    features: Literal["audio", "asr", "both"] = Field(
        "audio",
        description="What is known of a clip beside its text, task and grade. audio: measurements "
        "of the audio; asr: a Whisper's transcript and word probabilities; both: all of them. "
        "asr and both need audiomatch-boosting[asr].",
    )
    asr_weights: str = Field(
        "auto",
        min_length=1,
        description="The Whisper of asr: a folder, a hub id, or auto: openai/whisper-tiny.en where "
        "the hub or its cache has it, else an installed package's.",
    )
    rounds: int = Field(400, ge=1, le=20_000, description="Most boosting rounds (trees).")
    learning_rate: float = Field(0.05, gt=0, le=1, description="Shrinkage of each tree.")
    subsample: float = Field(0.8, gt=0, le=1, description="Share of the clips that each tree sees.")
    column_sample: float = Field(
        0.3, gt=0, le=1, description="Share of the features that each tree sees."
    )
    l2: float = Field(5.0, ge=0, le=1e6, description="L2 penalty on the leaf values.")
    inner_folds: int = Field(
        5, ge=2, le=20, description="Inner folds that choose the rounds and calibrate."
    )
    patience: int = Field(
        40, ge=1, le=20_000, description="Rounds without gain after which an inner fold stops."
    )

    @field_validator("asr_weights")
    @classmethod
    def _trained(cls, value: str) -> str:
        if value == "scratch":
            raise ValueError(
                "a Whisper from scratch hears nothing; give a folder, a hub id or auto"
            )
        return value


class XgboostConfig(BoostingConfig):
    """Options of `xgboost`."""

    max_depth: int = Field(2, ge=1, le=16, description="Depth of each tree.")
    min_child_weight: float = Field(
        5.0,
        ge=0,
        le=1e6,
        description="Least sum of Hessians in a leaf (a clip gives up to 0.25); "
        "at most a tenth of the clips.",
    )


class LightgbmConfig(BoostingConfig):
    """Options of `lightgbm`."""

    num_leaves: int = Field(4, ge=2, le=4096, description="Leaves of each tree.")
    min_child_samples: int = Field(
        20,
        ge=1,
        le=1_000_000,
        description="Fewest clips in a leaf; at most a tenth of them.",
    )
