"""Reads a CTranslate2 Whisper `model.bin` as plain tensors and maps it onto transformers.

The format (ctranslate2, `python/ctranslate2/specs/model_spec.py`): little-endian; version u32,
specification name, revision u32; the number of tensors u32, and of each: name, rank u8, shape
u32 * rank, type u8, bytes u32, data; the number of aliases u32, and of each: alias, name. A string
is its length u16 with the closing zero, then the bytes.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiomatch.errors import WeightsError

_TYPES = ("<f4", "<i1", "<i2", "<i4", "<f2", "bf16")
_VERSIONS = (4, 5, 6)


def read_tensors(files: Sequence[Path]) -> dict[str, Tensor]:
    """Read a `model.bin`, cut in any number of parts, into float32 or integer tensors by name.

    Weights quantised to int8 or int16 are multiplied out with their scales. Raises `WeightsError`
    where the file is truncated or of another format.
    """
    name = str(files[0])
    try:
        data = memoryview(b"".join(file.read_bytes() for file in files))
        stored, aliases = _Reader(data, name).read()
        tensors = {key: _float(one, stored.get(f"{key}_scale")) for key, one in stored.items()}
        # A scale may be aliased too; its weight is multiplied out already.
        return tensors | {alias: tensors[key] for alias, key in aliases.items()}
    except OSError as error:
        raise WeightsError(f"{name}: cannot be read ({error.strerror})") from None
    except (struct.error, ValueError, IndexError, KeyError, RuntimeError):
        raise WeightsError(f"{name}: truncated or damaged; fetch it again") from None


class _Reader:
    def __init__(self, data: memoryview, name: str) -> None:
        self.data, self.name, self.at = data, name, 0

    def read(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Return the tensors as they are stored, and the aliases."""
        version = self.number("I")
        if version not in _VERSIONS:
            raise WeightsError(
                f"{self.name}: not a CTranslate2 model of version {_VERSIONS[0]} to "
                f"{_VERSIONS[-1]} (a pickle of torch? convert it to safetensors)"
            )
        specification, _revision = self.text(), self.number("I")
        if specification != "WhisperSpec":
            found = " ".join(specification.removesuffix("Spec").split())[:80]
            raise WeightsError(f"{self.name}: holds a {found}, not a Whisper")
        tensors: dict[str, Tensor] = {}
        for _ in range(self.number("I")):
            key = self.text()
            shape = [self.number("I") for _ in range(self.number("B"))]
            kind, size = _TYPES[self.number("B")], self.number("I")
            tensors[key] = _tensor(self.take(size), kind).reshape(shape)
        aliases = [(self.text(), self.text()) for _ in range(self.number("I"))]
        return tensors, dict(aliases)

    def number(self, kind: str) -> int:
        return int(struct.unpack("<" + kind, self.take(struct.calcsize(kind)))[0])

    def text(self) -> str:
        return bytes(self.take(self.number("H"))).rstrip(b"\0").decode()

    def take(self, size: int) -> memoryview:
        if self.at + size > len(self.data):
            raise ValueError
        self.at += size
        return self.data[self.at - size : self.at]


def _tensor(data: memoryview, kind: str) -> Tensor:
    if kind == "bf16":
        wide: NDArray[Any] = np.frombuffer(data, "<u2").astype("<u4") << 16
        return torch.from_numpy(wide.view("<f4").copy())
    array = np.frombuffer(data, kind)
    return torch.from_numpy(array.astype("f4") if kind == "<f2" else array.copy())


def _float(tensor: Tensor, scale: Tensor | None) -> Tensor:
    if scale is None or tensor.dtype not in (torch.int8, torch.int16):
        return tensor
    return tensor.float() / (scale[:, None] if scale.ndim else scale)


def to_transformers(ct2: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the state dict of transformers' `WhisperForConditionalGeneration`.

    CTranslate2 stacks query, key and value in one matrix (key and value where the decoder looks at
    the encoder); Whisper's keys have no bias, for which it stores zeros.
    """
    out = {
        "proj_out.weight": ct2["decoder/projection/weight"],
        "model.decoder.embed_tokens.weight": ct2["decoder/embeddings/weight"],
    }
    for side in ("encoder", "decoder"):
        to = f"model.{side}"
        out[f"{to}.embed_positions.weight"] = ct2[f"{side}/position_encodings/encodings"]
        _norm(ct2, f"{side}/layer_norm", f"{to}.layer_norm", out)
        for layer in range(layers_of(ct2, side)):
            old, new = f"{side}/layer_{layer}", f"{to}.layers.{layer}"
            _attention(ct2, f"{old}/self_attention", f"{new}.self_attn", out)
            if side == "decoder":
                _attention(ct2, f"{old}/attention", f"{new}.encoder_attn", out)
            _norm(ct2, f"{old}/ffn/layer_norm", f"{new}.final_layer_norm", out)
            _linear(ct2, f"{old}/ffn/linear_0", f"{new}.fc1", out)
            _linear(ct2, f"{old}/ffn/linear_1", f"{new}.fc2", out)
    for conv in ("conv1", "conv2"):
        _linear(ct2, f"encoder/{conv}", f"model.encoder.{conv}", out)
    return out


def layers_of(ct2: dict[str, Tensor], side: str) -> int:
    """Count the layers of `encoder` or `decoder`."""
    return len({m[1] for key in ct2 if (m := re.match(rf"{side}/layer_(\d+)/", key))})


def _linear(ct2: dict[str, Tensor], old: str, new: str, out: dict[str, Tensor]) -> None:
    out[f"{new}.weight"] = ct2[f"{old}/weight"]
    out[f"{new}.bias"] = ct2[f"{old}/bias"]


def _norm(ct2: dict[str, Tensor], old: str, new: str, out: dict[str, Tensor]) -> None:
    out[f"{new}.weight"] = ct2[f"{old}/gamma"]
    out[f"{new}.bias"] = ct2[f"{old}/beta"]


def _attention(ct2: dict[str, Tensor], old: str, new: str, out: dict[str, Tensor]) -> None:
    _norm(ct2, f"{old}/layer_norm", f"{new}_layer_norm", out)
    weights: list[Tensor] = []
    biases: list[Tensor] = []
    at = 0
    while len(weights) < 3:
        stacked = ct2[f"{old}/linear_{at}/weight"]
        pieces = stacked.shape[0] // stacked.shape[1]
        weights += stacked.chunk(pieces)
        biases += ct2[f"{old}/linear_{at}/bias"].chunk(pieces)
        at += 1
    for name, weight, bias in zip("qkv", weights, biases, strict=True):
        out[f"{new}.{name}_proj.weight"] = weight
        if name != "k":
            out[f"{new}.{name}_proj.bias"] = bias
    _linear(ct2, f"{old}/linear_{at}", f"{new}.out_proj", out)
