"""The two towers of a CLAP, with what goes in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from audiomatch_torch import (
    build_network,
    check_config,
    check_preprocessor,
    first_line,
    load_into,
    load_tensors,
    model_type,
    save_tensors,
)
from torch import Tensor, nn
from torch.nn import functional
from transformers import ClapConfig, ClapFeatureExtractor, ClapModel

from audiomatch.audio import SAMPLE_RATE
from audiomatch.errors import WeightsError, brief
from audiomatch_clap.checkpoint import Shape, to_transformers
from audiomatch_clap.features import OPTIONS
from audiomatch_clap.text import TextEncoder

ROBERTA_EPS = 1e-5
# Constants that transformers counts as weights; versions differ in which they write.
_CONSTANTS = ("position_ids", "token_type_ids", "relative_position_index", "num_batches_tracked")


class ClapTowers(nn.Module):
    """An audio and a text tower into one space.

    Attributes:
        extractor: how sound becomes log-mel.
        text: how text becomes ids.
        width: numbers of an embedding.
        most_tokens: the longest text, with its start and end.
    """

    extractor: ClapFeatureExtractor
    text: TextEncoder
    width: int
    most_tokens: int

    def audio(self, mel: Tensor) -> Tensor:
        """Log-mel (crops, frames, mels) to embeddings (crops, width) of length 1."""
        raise NotImplementedError

    def texts(self, ids: Tensor) -> Tensor:
        """Padded ids (n, tokens) to embeddings (n, width) of length 1."""
        raise NotImplementedError

    def save(self, folder: Path) -> None:
        """Write a folder that `read_folder` or `read_laion` restores."""
        raise NotImplementedError

    def train(self, mode: bool = True) -> ClapTowers:
        """Switch dropout; batch norms always use the statistics they have learned.

        So that a clip's numbers never depend on its batch mates, in training neither.
        """
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
                module.eval()
        return self


class TransformersTowers(ClapTowers):
    """transformers' `ClapModel`."""

    def __init__(
        self, model: ClapModel, extractor: ClapFeatureExtractor, text: TextEncoder
    ) -> None:
        super().__init__()
        self.model, self.extractor, self.text = model, extractor, text
        for scale in (model.logit_scale_a, model.logit_scale_t):  # of CLAP's own loss
            scale.requires_grad = False
        self.width = int(model.config.projection_dim)
        inner: Any = model.config.text_config
        self.most_tokens = int(inner.max_position_embeddings) - int(inner.pad_token_id) - 1

    def audio(self, mel: Tensor) -> Tensor:
        """Log-mel (crops, frames, mels) to embeddings (crops, width) of length 1.

        A crop is no longer than the window, so a model with feature fusion has nothing to fuse.
        """
        longer = torch.zeros(len(mel), 1, dtype=torch.bool, device=mel.device)
        states = self.model.audio_model(input_features=mel[:, None], is_longer=longer)
        return functional.normalize(self.model.audio_projection(states.pooler_output), dim=-1)

    def texts(self, ids: Tensor) -> Tensor:
        """Padded ids (n, tokens) to embeddings (n, width) of length 1."""
        mask = (ids != self.text.pad).long()
        states = self.model.text_model(input_ids=ids, attention_mask=mask)
        return functional.normalize(self.model.text_projection(states.pooler_output), dim=-1)

    def save(self, folder: Path) -> None:
        """Write a Hugging Face folder."""
        self.model.config.save_pretrained(folder)
        self.extractor.save_pretrained(folder)
        self.text.save(folder)
        save_tensors(self.model.state_dict(), folder / "model.safetensors")

    @torch.no_grad()
    def centre(self, mean: Tensor, variance: Tensor) -> None:
        """Set the statistics by which the audio tower normalises each mel bin, shape (mels,)."""
        norm: Any = self.model.audio_model.audio_encoder.batch_norm
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)


def read_folder(folder: Path, files: tuple[Path, ...]) -> TransformersTowers:
    """Load a Hugging Face folder; raises `WeightsError` where it is no CLAP or damaged."""
    model_type(folder, ("clap",), "a CLAP")
    tensors = {k: v for file in files for k, v in load_tensors(file).items()}
    check_config(folder, tensors)
    model = build_network(
        ClapModel,
        lambda: ClapConfig.from_pretrained(folder, local_files_only=True),
        tensors,
        str(folder / "config.json"),
    )
    extractor = _extractor(folder)
    text = TextEncoder.read(folder)
    _load(model, tensors, str(folder))
    return _checked(TransformersTowers(model, extractor, text), str(folder))


def from_laion(tensors: dict[str, Tensor], text: TextEncoder, name: str) -> TransformersTowers:
    """Map the tensors of laion-clap onto transformers; raises `WeightsError` with `name`."""
    shape = Shape.of(tensors, name)
    model = ClapModel(_transformers_shape(shape))
    _load(model, to_transformers(tensors), name)
    return _checked(TransformersTowers(model, laion_extractor(shape), text), name)


def from_scratch() -> TransformersTowers:
    """Make small towers with random weights, for clips of some seconds at 16 kHz."""
    text = TextEncoder.of_bytes()
    extractor = ClapFeatureExtractor(
        feature_size=32,
        sampling_rate=SAMPLE_RATE,
        hop_length=160,
        max_length_s=5,
        fft_window_size=512,
        frequency_min=50,
        frequency_max=SAMPLE_RATE // 2,
        truncation="rand_trunc",
        padding="pad",
    )
    shape = ClapConfig(
        projection_dim=64,
        text_config={
            "vocab_size": text.size,
            "hidden_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "intermediate_size": 256,
            "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0,
            "pad_token_id": text.pad,
        },
        audio_config={
            "num_mel_bins": 32,
            "spec_size": 128,
            "window_size": 4,
            "patch_size": 8,
            "patch_stride": [8, 8],
            "patch_embeds_hidden_size": 32,
            "depths": [1, 1, 1],
            "num_attention_heads": [2, 4, 8],
            "hidden_size": 128,
            "num_hidden_layers": 3,
        },
    )
    return TransformersTowers(ClapModel(shape), extractor, text)


def laion_extractor(shape: Shape) -> ClapFeatureExtractor:
    """Return laion-clap's own front end (its model_configs/HTSAT-*.json)."""
    return ClapFeatureExtractor(
        feature_size=shape.mels,
        frequency_min=50,
        frequency_max=14_000,
        truncation="fusion" if shape.fused else "rand_trunc",
    )


def _transformers_shape(shape: Shape) -> ClapConfig:
    return ClapConfig(
        projection_dim=shape.joint,
        text_config={
            "vocab_size": shape.vocabulary,
            "hidden_size": shape.text_width,
            "num_hidden_layers": shape.text_layers,
            "num_attention_heads": shape.text_heads,
            "intermediate_size": shape.text_inner,
            "max_position_embeddings": shape.positions,
            "type_vocab_size": shape.types,
            "layer_norm_eps": ROBERTA_EPS,
        },
        audio_config={
            "num_mel_bins": shape.mels,
            "spec_size": shape.spectrogram,
            "patch_size": shape.patch,
            "patch_stride": [shape.patch, shape.patch],
            "patch_embeds_hidden_size": shape.width,
            "depths": list(shape.depths),
            "num_attention_heads": list(shape.heads),
            "num_hidden_layers": len(shape.depths),
            "window_size": shape.window,
            "mlp_ratio": shape.mlp_ratio,
            "hidden_size": shape.audio_width,
            "num_classes": shape.classes,
            "enable_fusion": shape.fused,
            "fusion_type": "aff_2d" if shape.fused else None,
        },
    )


def _extractor(folder: Path) -> ClapFeatureExtractor:
    file = folder / "preprocessor_config.json"
    if not file.is_file():
        raise WeightsError(
            f"{folder}: no preprocessor_config.json; copy it from the original model"
        )
    known = check_preprocessor(folder)
    try:
        extractor = ClapFeatureExtractor(**{k: known[k] for k in OPTIONS if k in known})
    except Exception as error:  # noqa: BLE001 - what contradicts itself fails in many ways
        raise WeightsError(f"{file}: makes no ClapFeatureExtractor ({first_line(error)})") from None
    if extractor.truncation not in ("fusion", "rand_trunc"):
        raise WeightsError(f"{file}: truncation {brief(extractor.truncation)} is not known")
    return extractor


def _load(model: nn.Module, tensors: dict[str, Tensor], name: str) -> None:
    own = model.state_dict()
    constant = {key: own[key] for key in own if key.endswith(_CONSTANTS)}
    given = {key: value for key, value in tensors.items() if not key.endswith(_CONSTANTS)}
    load_into(model, {**constant, **given}, name)


def _checked(towers: TransformersTowers, name: str) -> TransformersTowers:
    """Refuse what would only fail in the middle of the work."""
    text: Any = towers.model.config.text_config
    audio: Any = towers.model.config.audio_config
    ids, bins = towers.text.size, int(towers.extractor.feature_size)
    if ids > text.vocab_size:
        raise WeightsError(f"{name}: tokenizer of {ids} ids, model of {text.vocab_size}")
    if bins != audio.num_mel_bins:
        raise WeightsError(
            f"{name}: preprocessor of {bins} mel bins, model of {audio.num_mel_bins}"
        )
    return towers
