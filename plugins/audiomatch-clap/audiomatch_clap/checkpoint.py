"""Reads a `.pt` of laion-clap without running code, and maps it onto transformers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from audiomatch_torch import load_pickled
from torch import Tensor

from audiomatch.errors import WeightsError

_POSITIONS = "text_branch.embeddings.position_ids"
_BLOCK = re.compile(r"audio_branch\.layers\.(\d+)\.blocks\.(\d+)\.")
_TEXT_LAYER = re.compile(r"text_branch\.encoder\.layer\.(\d+)\.")


def read_pt(file: Path) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint by their names in laion-clap.

    Raises `WeightsError` where the file would run code, is damaged, or is no CLAP with an HTSAT and
    a RoBERTa.
    """
    content = load_pickled(file)
    tensors = {
        key.removeprefix("module."): value
        for key, value in dict(content.get("state_dict", content)).items()
        if isinstance(key, str) and isinstance(value, Tensor)
    }
    for key, what in (
        ("audio_branch.patch_embed.proj.weight", "an HTSAT audio tower"),
        ("text_branch.embeddings.word_embeddings.weight", "a RoBERTa text tower"),
        ("audio_projection.0.weight", "laion-clap's projections"),
    ):
        if key not in tensors:
            raise WeightsError(
                f"{file}: not a laion-clap checkpoint with {what} ({key} is missing)"
            )
    return {key: value for key, value in tensors.items() if key != _POSITIONS}


@dataclass(frozen=True)
class Shape:
    """The sizes of a laion-clap model, read off its tensors."""

    mels: int
    spectrogram: int
    patch: int
    width: int
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    window: int
    mlp_ratio: float
    classes: int
    fused: bool
    joint: int
    vocabulary: int
    text_width: int
    text_layers: int
    text_inner: int
    positions: int
    types: int

    @property
    def text_heads(self) -> int:
        """RoBERTa's heads are 64 wide; a size-reduced one has a single head."""
        return max(1, self.text_width // 64)

    @property
    def audio_width(self) -> int:
        """How many numbers the audio tower gives."""
        return int(self.width * 2 ** (len(self.depths) - 1))

    @classmethod
    def of(cls, tensors: dict[str, Tensor], name: str) -> Shape:
        """Read the sizes; raises `WeightsError` with `name` where tensors are missing."""
        try:
            return _shape(tensors)
        except (KeyError, ValueError) as error:
            raise WeightsError(f"{name}: not a laion-clap checkpoint; {error} is missing") from None


def _shape(tensors: dict[str, Tensor]) -> Shape:
    blocks = {(int(m[1]), int(m[2])) for key in tensors if (m := _BLOCK.match(key))}
    stages = 1 + max(stage for stage, _ in blocks)
    width, _, patch, _ = tensors["audio_branch.patch_embed.proj.weight"].shape
    tables = [
        tensors[f"audio_branch.layers.{i}.blocks.0.attn.relative_position_bias_table"].shape
        for i in range(stages)
    ]
    window = (round(tables[0][0] ** 0.5) + 1) // 2
    mask = tensors.get("audio_branch.layers.0.blocks.1.attn_mask")
    words = tensors["text_branch.embeddings.word_embeddings.weight"].shape
    first = "audio_branch.layers.0.blocks.0.mlp.fc1.weight"
    return Shape(
        mels=len(tensors["audio_branch.bn0.weight"]),
        # The shifted windows' mask counts the windows of the first stage: the grid, squared.
        spectrogram=256 if mask is None else round(len(mask) ** 0.5) * window * patch,
        patch=patch,
        width=width,
        depths=tuple(sum(stage == i for stage, _ in blocks) for i in range(stages)),
        heads=tuple(table[1] for table in tables),
        window=window,
        mlp_ratio=tensors[first].shape[0] / width,
        classes=len(tensors["audio_branch.head.bias"]),
        fused="audio_branch.patch_embed.mel_conv2d.weight" in tensors,
        joint=len(tensors["audio_projection.2.bias"]),
        vocabulary=words[0],
        text_width=words[1],
        text_layers=len({m[1] for key in tensors if (m := _TEXT_LAYER.match(key))}),
        text_inner=len(tensors["text_branch.encoder.layer.0.intermediate.dense.bias"]),
        positions=len(tensors["text_branch.embeddings.position_embeddings.weight"]),
        types=len(tensors["text_branch.embeddings.token_type_embeddings.weight"]),
    )


# In the order of the parts of a name; as transformers' convert_clap_original_pytorch_to_hf.py.
_RENAMED = (
    (r"^text_branch\.", "text_model."),
    (r"^audio_branch\.bn0\.", "audio_model.audio_encoder.batch_norm."),
    (r"^audio_branch\.", "audio_model.audio_encoder."),
    (r"_projection\.0\.", "_projection.linear1."),
    (r"_projection\.2\.", "_projection.linear2."),
    (r"\.norm1\.", ".layernorm_before."),
    (r"\.norm2\.", ".layernorm_after."),
    (r"\.attn\.proj\.", ".attention.output.dense."),
    (r"\.attn\.", ".attention.self."),
    (r"\.mlp\.fc1\.", ".intermediate.dense."),
    (r"\.mlp\.fc2\.", ".output.dense."),
)
# Front end and classifier of the audio tower, constants, and what only training used.
_LEFT_OUT = re.compile(
    r"^(audio|text)_transform\.|^audio_branch\.(spectrogram_extractor|logmel_extractor|tscam_conv|"
    r"head)\.|\.attn_mask$|^attn_mask$|\.relative_position_index$|\.token_type_ids$"
)


def to_transformers(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the state dict of transformers' `ClapModel`, less its constants."""
    out: dict[str, Tensor] = {}
    for old, tensor in tensors.items():
        if _LEFT_OUT.search(old):
            continue
        new = old
        for pattern, replacement in _RENAMED:
            new = re.sub(pattern, replacement, new)
        if ".attention.self.qkv." in new:
            for name, part in zip(("query", "key", "value"), tensor.chunk(3), strict=True):
                out[new.replace("qkv", name)] = part
        else:
            out[new] = tensor
    return out
