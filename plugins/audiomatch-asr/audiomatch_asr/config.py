"""The options of `asr`."""

from __future__ import annotations

from audiomatch_torch import option, weights_option
from pydantic import Field

from audiomatch.config import MatcherConfig


class ASRConfig(MatcherConfig):
    """Which recogniser, and how much at once; it is not trained."""

    weights: str = weights_option(
        "UsefulSensors/moonshine-base where the hub or its cache has it; any Moonshine "
        "or Qwen3-ASR will do",
        scratch=False,
    )
    language: str = Field(
        "en",
        min_length=2,
        description="What is spoken, as the code that a Qwen3-ASR has for it (en, de, yue); a "
        "Moonshine is not told.",
    )
    seconds_at_once: float | None = option(
        "seconds_at_once", None, "where not given 60 on a CPU, else as memory allows"
    )
