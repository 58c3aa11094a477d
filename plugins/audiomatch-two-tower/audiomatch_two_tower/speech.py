"""From weights on disk to an audio encoder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from audiomatch_torch import (
    Weights,
    build_network,
    check_config,
    first_line,
    load_into,
    load_tensors,
    model_type,
    quiet_transformers,
)
from audiomatch_whisper.backbone import Encoder, find_whisper, load_whisper, read_shape
from transformers import AutoConfig, AutoModel

from audiomatch.errors import WeightsError
from audiomatch_two_tower.audio import AudioEncoder, CnnEncoder, WaveTower, WhisperTower
from audiomatch_two_tower.config import TwoTowerConfig

WAVE_MODELS = ("hubert", "wav2vec2", "wavlm")
# Made for masking in pretraining; checkpoints fine-tuned otherwise lack it, and nothing here masks.
_UNUSED = {"masked_spec_embed"}


def find_audio(config: TwoTowerConfig) -> Weights:
    """Resolve the option `audio_weights`; raises `WeightsError`."""
    if config.audio == "cnn":
        return Weights("cnn scratch")
    found = find_whisper(config.audio_weights)
    return replace(found, name="transformer scratch") if found.scratch else found


def load_audio_encoder(config: TwoTowerConfig, weights: Weights) -> AudioEncoder:
    """Make the encoder that training starts from; raises `WeightsError`."""
    if config.audio == "cnn":
        return CnnEncoder()
    if weights.folder is None or weights.files[0].name.startswith("model.bin"):
        return WhisperTower(load_whisper(weights).encoder)
    if _is_whisper(weights.folder):
        return WhisperTower(load_whisper(weights).encoder)
    return _wave_tower(weights)


def read_audio_encoder(config: TwoTowerConfig, folder: Path) -> AudioEncoder:
    """Restore what `AudioEncoder.save` wrote; raises `WeightsError`."""
    if config.audio == "cnn":
        return CnnEncoder.read(folder)
    file = folder / "model.safetensors"
    tensors = load_tensors(file)
    check_config(folder, tensors)
    place = str(folder / "config.json")
    if _is_whisper(folder):
        whisper = build_network(Encoder, lambda: read_shape(folder), tensors, place)
        load_into(whisper, tensors, str(file))
        return WhisperTower(whisper)
    model = build_network(_wave_model, lambda: _wave_shape(folder), tensors, place)
    load_into(model, tensors, str(file))
    return WaveTower(model)


def _wave_shape(folder: Path) -> Any:
    return AutoConfig.from_pretrained(folder, local_files_only=True)


def _wave_model(shape: Any) -> Any:
    auto: Any = AutoModel  # without types
    return auto.from_config(shape, trust_remote_code=False)


def _wave_tower(weights: Weights) -> WaveTower:
    folder = weights.folder
    tensors = {k: v for file in weights.files for k, v in load_tensors(file).items()}
    check_config(Path(str(folder)), tensors)
    try:
        with quiet_transformers():
            model, report = AutoModel.from_pretrained(
                str(folder),
                local_files_only=True,
                use_safetensors=True,
                dtype=torch.float32,
                output_loading_info=True,
                trust_remote_code=False,
            )
    except Exception as error:  # noqa: BLE001 - validation errors of several libraries
        raise WeightsError(f"{folder}: does not load ({first_line(error)})") from None
    missing = sorted(set(report["missing_keys"]) - _UNUSED)
    if missing:
        raise WeightsError(f"{folder}: tensor {missing[0]!r} is missing; another architecture")
    return WaveTower(model)


def _is_whisper(folder: Path) -> bool:
    known = ("whisper", *WAVE_MODELS)
    return model_type(folder, known, f"a speech encoder ({', '.join(known)})") == "whisper"
