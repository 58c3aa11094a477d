"""The options of `clap`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from audiomatch.config import MatcherConfig


class ClapConfig(MatcherConfig):
    """What to start from, what to compare, and how to train."""

    backend: Literal["transformers", "laion"] = Field(
        "transformers",
        description="Whose code runs the audio tower: transformers' ClapModel, or the package "
        "laion-clap (needs weights=FILE.pt).",
    )
    weights: str = Field(
        "auto",
        min_length=1,
        description="A Hugging Face folder, a hub id, a laion-clap FILE.pt, scratch, or auto: "
        "laion/clap-htsat-unfused where the hub or its cache has it, else scratch.",
    )
    tokenizer: str = Field(
        "auto",
        min_length=1,
        description="For a FILE.pt: the folder with RoBERTa's tokenizer, or a hub id; auto: beside "
        "the file, else roberta-base.",
    )
    mode: Literal["similarity", "head", "fine-tune"] = Field(
        "similarity",
        description="similarity: the cosine, calibrated; head: a small network over both "
        "embeddings, their product and difference; fine-tune: that head and both towers. From "
        "scratch the towers are trained in every mode.",
    )
    epochs: int | None = Field(
        None,
        ge=1,
        le=10_000,
        description="Passes over the training clips; where not given 2 for pretrained towers, 20 "
        "for a head, 4 from scratch, and the last two at least `steps`.",
    )
    steps: int = Field(
        120,
        ge=0,
        le=10_000_000,
        description="Fewest optimiser steps of a head or from scratch, where epochs is not given.",
    )
    batch_size: int = Field(16, ge=1, le=65536, description="Clips an optimiser step.")
    lr: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Peak learning rate of the towers; 1e-5, from scratch 1e-3, where not given.",
    )
    head_lr: float = Field(1e-3, gt=0, le=1, description="Peak learning rate of the head.")
    warmup: float = Field(0.1, ge=0, le=1, description="Share of the steps that warm up.")
    weight_decay: float = Field(0.01, ge=0, le=10, description="AdamW's decoupled weight decay.")
    hidden: int = Field(64, ge=1, le=65536, description="Units of the head's hidden layer.")
    dropout: float = Field(0.1, ge=0, lt=1, description="Dropout in the head.")
    calibration: float = Field(
        0.2,
        gt=0,
        le=0.5,
        description="Share of the training part that calibrates what was trained on the rest.",
    )
