"""From weights on disk to an audio encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from audiomatch_torch import Weights, load_into, load_tensors, read_config
from audiomatch_whisper.config import WhisperConfig
from audiomatch_whisper.loading import find as find_whisper
from audiomatch_whisper.loading import load as load_whisper
from transformers import AutoConfig, AutoModel
from transformers import WhisperConfig as WhisperShape
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from audiomatch.errors import WeightsError
from audiomatch_two_tower.audio import AudioEncoder, CnnEncoder, WaveTower, WhisperTower
from audiomatch_two_tower.config import TwoTowerConfig
from audiomatch_two_tower.quiet import quiet_loading

WAVE_MODELS = ("hubert", "wav2vec2", "wavlm")
# Made for masking in pretraining; checkpoints fine-tuned otherwise lack it, and nothing here masks.
_UNUSED = {"masked_spec_embed"}


def find_audio(config: TwoTowerConfig) -> Weights:
    """Resolve the option `audio_weights`; raises `WeightsError`."""
    if config.audio == "cnn":
        return Weights("scratch")
    return find_whisper(WhisperConfig.model_validate({"weights": config.audio_weights}))


def load_audio_encoder(config: TwoTowerConfig, weights: Weights) -> AudioEncoder:
    """Make the encoder that training starts from; raises `WeightsError`."""
    if config.audio == "cnn":
        return CnnEncoder()
    if weights.folder is None or weights.files[0].name.startswith("model.bin"):
        return WhisperTower(load_whisper(weights).model.model.encoder)
    kind = _model_type(weights.folder)
    if kind == "whisper":
        return WhisperTower(load_whisper(weights).model.model.encoder)
    if kind in WAVE_MODELS:
        return _wave_tower(weights)
    raise WeightsError(
        f"{weights.folder}: holds a {kind or 'model of no known type'}; "
        f"the audio tower takes whisper, {', '.join(WAVE_MODELS)}"
    )


def read_audio_encoder(config: TwoTowerConfig, folder: Path) -> AudioEncoder:
    """Restore what `AudioEncoder.save` wrote; raises `WeightsError`."""
    if config.audio == "cnn":
        return CnnEncoder.read(folder)
    file = folder / "model.safetensors"
    if _model_type(folder) == "whisper":
        shape = WhisperShape.from_pretrained(folder, local_files_only=True)
        tower: WhisperTower | WaveTower = WhisperTower(WhisperEncoder(shape))
    else:
        shape = AutoConfig.from_pretrained(folder, local_files_only=True)
        auto: Any = AutoModel  # without types
        tower = WaveTower(auto.from_config(shape))
    load_into(tower.model, load_tensors(file), str(file))
    return tower


def _wave_tower(weights: Weights) -> WaveTower:
    folder = weights.folder
    for file in weights.files:
        load_tensors(file)  # says which file is damaged
    try:
        with quiet_loading():
            model, report = AutoModel.from_pretrained(
                str(folder),
                local_files_only=True,
                use_safetensors=True,
                dtype=torch.float32,
                output_loading_info=True,
            )
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise WeightsError(f"{folder}: does not load ({str(error).splitlines()[0]})") from None
    missing = sorted(set(report["missing_keys"]) - _UNUSED)
    if missing:
        raise WeightsError(f"{folder}: tensor {missing[0]!r} is missing; another architecture")
    return WaveTower(model)


def _model_type(folder: Path) -> str | None:
    kind = read_config(folder).get("model_type")
    return str(kind) if kind else None
