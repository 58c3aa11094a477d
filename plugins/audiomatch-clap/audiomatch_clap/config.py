"""The options of `clap`."""

from __future__ import annotations

from typing import Literal

from audiomatch_torch import TorchConfig, option, weights_option
from pydantic import Field


class ClapConfig(TorchConfig):
    """What to start from, what to compare, and how to train."""

    backend: Literal["transformers", "laion"] = Field(
        "transformers",
        description="Whose code runs the audio tower: transformers' ClapModel, or the package "
        "laion-clap (needs weights=FILE.pt).",
    )
    weights: str = weights_option(
        "laion/clap-htsat-unfused where the hub or its cache has it, else scratch",
        also="a laion-clap FILE.pt, ",
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
    epochs: int | None = option(
        "epochs",
        None,
        "where not given 2 for pretrained towers, 20 for a head, 4 from scratch, and the last two "
        "at least `steps`",
        ge=1,
    )
    steps: int = Field(
        120,
        ge=0,
        le=10_000_000,
        description="Fewest optimiser steps of a head or from scratch, where epochs is not given.",
    )
    lr: float | None = option("lr", None, "of the towers; where not given 1e-5, from scratch 1e-3")
    hidden: int = Field(64, ge=1, le=65536, description="Units of the head's hidden layer.")
    dropout: float = option("dropout", 0.1)
    calibration: float = option("calibration", 0.2, "of what was trained", ge=None, gt=0)
    seconds_at_once: float | None = option(
        "seconds_at_once", None, "where not given 16 crops on a CPU, else as memory allows"
    )
