"""Low-rank adapters beside frozen weights (LoRA; Hu et al., 2021), by the library peft."""

from __future__ import annotations

from collections.abc import Callable

from audiomatch_whisper.judge import Judge

# Of the usual recipe for Whisper (github.com/Vaibhavs10/fast-whisper-finetuning): alpha is 2 ranks.
LEARNING_RATE = 1e-3
ALPHA_A_RANK = 2
# Every matrix of a layer: adapters on the attention alone do worse than on all (Schulman et al.,
# "LoRA Without Regret", 2025).
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2")


def add_adapters(judge: Judge, rank: int) -> Callable[[], None]:
    """Put adapters of this rank on the layers that are trained, and freeze all else of the Whisper.

    The layers are the decoder's and those of the encoder that `judge.fixed_layers` leaves; the head
    is trained as before. At the start an adapter adds nothing.

    Returns:
        What adds the adapters to the weights, in the weights' own precision, and takes them away:
        the Whisper is then again a plain one.
    """
    from peft import LoraConfig, get_peft_model

    whisper = judge.whisper.model
    layers = [*whisper.encoder.layers[judge.fixed_layers or 0 :], *whisper.decoder.layers]
    trained = {id(module) for layer in layers for module in layer.modules()}
    targets = [
        name
        for name, module in judge.whisper.named_modules()
        if id(module) in trained and name.rpartition(".")[2] in PROJECTIONS
    ]
    config = LoraConfig(r=rank, lora_alpha=ALPHA_A_RANK * rank, target_modules=targets)
    # Injected in place: `judge.whisper` stays the way in.
    adapted = get_peft_model(judge.whisper, config)

    def merge() -> None:
        adapted.merge_and_unload()

    return merge
