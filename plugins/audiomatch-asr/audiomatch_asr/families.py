"""Which family of recognisers a weights folder holds, and reading it."""

from __future__ import annotations

from pathlib import Path

from audiomatch_torch import (
    Weights,
    build_network,
    check_config,
    load_into,
    load_tensors,
    model_type,
    read_auto_config,
    read_config,
    read_extractor,
    read_fast_tokenizer,
    resolve_weights,
)

from audiomatch.errors import WeightsError
from audiomatch_asr.moonshine import Moonshine
from audiomatch_asr.qwen3_asr import Qwen3ASR
from audiomatch_asr.recogniser import Recogniser
from audiomatch_asr.texts import Texts

HUB_ID = "UsefulSensors/moonshine-base"
FAMILIES: dict[str, type[Recogniser]] = {"moonshine": Moonshine, "qwen3_asr": Qwen3ASR}


def find(asked: str) -> Weights:
    """Resolve the option `weights`; raises `WeightsError`."""
    return resolve_weights(asked, HUB_ID, scratch=False)


def read_texts(weights: Weights, language: str) -> Texts:
    """Return what cuts texts, without the model; raises `WeightsError`."""
    folder, family = _family(weights)
    return family.read_texts(read_fast_tokenizer(folder), read_auto_config(folder), language)


def load(weights: Weights, language: str) -> Recogniser:
    """Load what `find` found; raises `WeightsError` where it is of no family or damaged.

    Args:
        weights: of `find`.
        language: the code of what is spoken, as in "en"; not every family is told.
    """
    folder, family = _family(weights)
    tensors = {key: t for file in weights.files for key, t in load_tensors(file).items()}
    check_config(folder, tensors)
    config = read_auto_config(folder)
    network = build_network(
        family.Network, lambda: config, tensors, str(folder / "config.json")
    ).float()
    load_into(network, tensors, str(folder))
    extractor = read_extractor(folder, (family.Extractor,))
    return family.of(network.eval(), extractor, read_fast_tokenizer(folder), language)


def _family(weights: Weights) -> tuple[Path, type[Recogniser]]:
    folder = weights.folder
    assert folder is not None  # there is none from scratch
    kind = model_type(folder, FAMILIES, "a Moonshine or a Qwen3-ASR")
    if "thinker_config" in read_config(folder):
        raise WeightsError(
            f"{folder}: holds Qwen's own format; take that of transformers, "
            "as Qwen/Qwen3-ASR-1.7B-hf has it"
        )
    return folder, FAMILIES[kind]
