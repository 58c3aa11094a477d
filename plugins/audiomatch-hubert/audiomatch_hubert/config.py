"""The options of `hubert-ctc`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from audiomatch.config import MatcherConfig


class HubertCTCConfig(MatcherConfig):
    """What to start from, what to train on, and how."""

    weights: str = Field(
        "auto",
        min_length=1,
        description="A Hugging Face folder or hub id of any CTC model (HuBERT, wav2vec 2.0, "
        "WavLM, ...), scratch, or auto: facebook/hubert-large-ls960-ft where the hub or its cache "
        "has it, else scratch.",
    )
    objective: Literal["both", "binary", "ctc"] = Field(
        "both",
        description="both: CTC on the matches and the binary loss on all clips; binary: the "
        "binary loss only; ctc: CTC on the matches only, the binary target only calibrates.",
    )
    ctc_weight: float = Field(
        0.3, ge=0, le=100, description="Weight of CTC (nats a character) beside the binary loss."
    )
    ctc_epochs: int | None = Field(
        None,
        ge=0,
        le=1000,
        description="Passes over the matches with CTC alone before the epochs; where not given 20 "
        "from scratch, 0 from pretrained weights. None with objective=binary.",
    )
    epochs: int | None = Field(
        None,
        ge=0,
        le=1000,
        description="Passes over the training clips with the objective; where not given 5 from "
        "scratch, 2 from pretrained weights.",
    )
    freeze: Literal["nothing", "features", "encoder"] = Field(
        "features",
        description="What of pretrained weights is not trained: the convolutions that read the "
        "waveform, or all but the CTC layer (each clip is then encoded once).",
    )
    calibration: float = Field(
        0.2,
        ge=0,
        le=0.5,
        description="Share of the training clips kept apart, by group, to scale and shift the "
        "head's logits on after training; 0 leaves them as trained.",
    )
    batch_size: int | None = Field(
        None,
        ge=1,
        le=65536,
        description="Clips an optimiser step; where not given 4 from scratch, which needs many "
        "steps more than steady ones, 16 from pretrained weights.",
    )
    lr: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Peak learning rate; where not given 3e-3 from scratch, 3e-5 from pretrained "
        "weights, 1e-3 with freeze=encoder.",
    )
    head_lr: float = Field(1e-2, gt=0, le=1, description="Peak learning rate of the head.")
    warmup: float = Field(0.1, ge=0, le=1, description="Share of the steps that warm up.")
    weight_decay: float = Field(0.01, ge=0, le=10, description="AdamW's decoupled weight decay.")
    clip_norm: float = Field(1.0, gt=0, le=1e6, description="The largest gradient norm.")
    average_last: float = Field(
        0.0, ge=0, le=1, description="Share of the steps, from the end, whose weights are averaged."
    )
    scratch_width: int = Field(
        96, ge=16, le=2048, multiple_of=16, description="Width of the model from scratch."
    )
    scratch_layers: int = Field(2, ge=1, le=48, description="Layers of the model from scratch.")
    seconds_at_once: float | None = Field(
        None,
        gt=0,
        description="Most seconds of padded audio in one forward pass; where not given 60 on a "
        "CPU, else as memory allows.",
    )
