"""The options of `ctc` and `hubert-ctc`."""

from __future__ import annotations

from typing import Literal

from audiomatch_torch import TorchConfig, option, weights_option
from pydantic import Field


class CTCConfig(TorchConfig):
    """What to start from, what to train on, and how."""

    weights: str = weights_option(
        "facebook/wav2vec2-lv-60-espeak-cv-ft, which writes phones, where the hub or its cache has "
        "it, else scratch; any CTC model will do (wav2vec 2.0, WavLM, w2v-BERT, Parakeet, ...)"
    )
    units: Literal["auto", "phones"] = Field(
        "auto",
        description="auto: what the weights write (letters, pieces of words, phones); phones: a "
        "model that does not write phones, or has no CTC head, learns to, from the matches' "
        "pronunciations.",
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
        "from scratch, 10 with a new CTC head, 0 from pretrained weights. None with "
        "objective=binary.",
    )
    epochs: int | None = option(
        "epochs", None, "where not given 5 from scratch, 2 from pretrained weights"
    )
    freeze: Literal["nothing", "features", "encoder"] = Field(
        "features",
        description="What of pretrained weights is not trained: the convolutions that read the "
        "waveform, or all but the CTC layer (each clip is then encoded once).",
    )
    calibration: float = option("calibration", 0.2, "0 leaves them as trained")
    batch_size: int | None = option(
        "batch_size",
        None,
        "where not given 4 from scratch, which needs many steps more than steady ones, 16 from "
        "pretrained weights",
    )
    lr: float | None = option(
        "lr",
        None,
        "where not given 3e-3 from scratch, 3e-5 from pretrained weights, 1e-3 with freeze=encoder",
    )
    head_lr: float = option("head_lr", 1e-2)
    clip_norm: float = option("clip_norm", 1.0)
    average_last: float = option("average_last", 0.0)
    scratch_width: int = Field(
        96, ge=16, le=2048, multiple_of=16, description="Width of the model from scratch."
    )
    scratch_layers: int = Field(2, ge=1, le=48, description="Layers of the model from scratch.")


class HubertCTCConfig(CTCConfig):
    """The same that starts from a HuBERT."""

    weights: str = weights_option(
        "facebook/hubert-large-ls960-ft where the hub or its cache has it, else scratch; any CTC "
        "model will do (HuBERT, wav2vec 2.0, WavLM, ...)"
    )
