"""Low-rank adapters beside frozen weights (LoRA; Hu et al., 2021), by the library peft."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from audiomatch_whisper.score.scorer import Scorer

# Of the usual recipe for Whisper (github.com/Vaibhavs10/fast-whisper-finetuning): alpha is 2 ranks.
LEARNING_RATE = 1e-3
ALPHA_A_RANK = 2
# Every matrix of a layer: adapters on the attention alone do worse than on all (Schulman et al.,
# "LoRA Without Regret", 2025).
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2")


def add_adapters(scorer: Scorer, rank: int) -> Callable[[], None]:
    """Put adapters of this rank on the layers that are trained, and freeze all else of the Whisper.

    The layers are the decoder's and those of the encoder that `scorer.frozen_layers` leaves; the
    head is trained as before. At the start an adapter adds nothing.

    Returns:
        What adds the adapters to the weights, in the weights' own precision, and takes them away:
        the Whisper is then again a plain one.
    """
    from peft import LoraConfig, get_peft_model

    first = scorer.frozen_layers or 0
    layers = {
        f"model.{side}.layers.{i}"
        for side, start, count in (
            ("encoder", first, len(scorer.whisper.encoder.layers)),
            ("decoder", 0, len(scorer.whisper.decoder.layers)),
        )
        for i in range(start, count)
    }
    targets = [
        name
        for name, _ in scorer.model.named_modules()
        if ".".join(name.split(".")[:4]) in layers and name.rpartition(".")[2] in PROJECTIONS
    ]
    config = LoraConfig(r=rank, lora_alpha=ALPHA_A_RANK * rank, target_modules=targets)
    # Injected in place: `scorer.model` stays the way in.
    adapted: Any = get_peft_model(scorer.model, config)

    def merge() -> None:
        adapted.merge_and_unload()

    return merge
