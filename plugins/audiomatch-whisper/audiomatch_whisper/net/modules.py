"""Whisper's modules and their shape (Radford et al., 2022), under transformers' names.

Only what holds weights: the ways through them are `encoder` and `decoder`. Importing transformers
for as much takes longer than scoring a clip does.
"""

from __future__ import annotations

import json
import math
from copy import deepcopy
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

MODEL_TYPE = "whisper"
SUMMED_AT_ONCE = 384  # columns


class Shape(BaseModel):
    """What config.json says of a Whisper, and in it what transformers has of its own."""

    model_config = ConfigDict(extra="allow")

    vocab_size: int
    d_model: int
    encoder_layers: int
    decoder_layers: int
    encoder_attention_heads: int
    decoder_attention_heads: int
    encoder_ffn_dim: int
    decoder_ffn_dim: int
    num_mel_bins: int = 80
    max_source_positions: int = 1500
    max_target_positions: int = 448
    activation_function: Literal["gelu"] = "gelu"
    scale_embedding: Literal[False] = False
    tie_word_embeddings: bool = True
    dropout: float = 0.0
    attention_dropout: float = 0.0
    activation_dropout: float = 0.0
    init_std: float = 0.02
    pad_token_id: int | None = None
    bos_token_id: int | None = None
    eos_token_id: int | None = None
    decoder_start_token_id: int | None = None
    alignment_heads: list[tuple[int, int]] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as peft asks for it."""
        return self.model_dump()

    def save(self, folder: Path) -> None:
        """Write config.json as transformers reads it."""
        content = {
            **self.model_dump(mode="json", exclude_none=True),
            "model_type": MODEL_TYPE,
            "architectures": ["WhisperForConditionalGeneration"],
            "is_encoder_decoder": True,
        }
        text = json.dumps(content, indent=2, sort_keys=True)
        (folder / "config.json").write_text(text + "\n", encoding="utf-8")


class _Unset:
    """Weights that are not drawn: they are loaded, or drawn by `WhisperNetwork.start`."""

    def reset_parameters(self) -> None:
        """Leave them as they are."""


class Linear(_Unset, nn.Linear):
    """A linear map; in bfloat16 on a CPU a row's result does not depend on the rows beside it.

    oneDNN sums products of more than some 400 columns in an order that depends on how many rows
    there are, where the CPU has AMX. So they are summed `SUMMED_AT_ONCE` at a time.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map (…, in_features) to (…, out_features)."""
        if self.in_features <= SUMMED_AT_ONCE or not self._in_bfloat16(x):
            return super().forward(x)
        rows = x.to(torch.bfloat16).reshape(-1, self.in_features)  # (n, in_features)
        weight = self.weight.to(torch.bfloat16)
        bias = None if self.bias is None else self.bias.to(torch.bfloat16)
        parts = weight.split(SUMMED_AT_ONCE, 1)
        first, *others = zip(rows.split(SUMMED_AT_ONCE, 1), parts, strict=True)
        found = nn.functional.linear(*first, bias)  # (n, out_features)
        for part, own in others:
            found.addmm_(part, own.t())
        return found.reshape(*x.shape[:-1], self.out_features)

    def _in_bfloat16(self, x: Tensor) -> bool:
        """Whether the product is one of bfloat16 on a CPU that no gradient is asked for."""
        if x.device.type != "cpu" or torch.is_grad_enabled():
            return False
        if torch.is_autocast_enabled("cpu"):
            return torch.get_autocast_dtype("cpu") is torch.bfloat16
        return x.dtype is torch.bfloat16


class Conv1d(_Unset, nn.Conv1d):
    """A convolution over time."""


class Embedding(_Unset, nn.Embedding):
    """A table of vectors."""


class Attention(nn.Module):
    """The projections of multi-head attention; that of keys has no bias."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"d_model is {width}, which {heads} heads do not divide")
        self.num_heads, self.head_dim, self.dropout = heads, width // heads, dropout
        self.k_proj = Linear(width, width, bias=False)
        self.v_proj = Linear(width, width)
        self.q_proj = Linear(width, width)
        self.out_proj = Linear(width, width)


class Layer(nn.Module):
    """A layer of the encoder, or with `across` of the decoder, which attends to the encoder too."""

    def __init__(self, shape: Shape, heads: int, hidden: int, *, across: bool) -> None:
        super().__init__()
        self.dropout, self.activation_dropout = shape.dropout, shape.activation_dropout
        self.activation_fn = nn.functional.gelu
        width, drop = shape.d_model, shape.attention_dropout
        self.self_attn = Attention(width, heads, drop)
        self.self_attn_layer_norm = nn.LayerNorm(width)
        if across:
            self.encoder_attn = Attention(width, heads, drop)
            self.encoder_attn_layer_norm = nn.LayerNorm(width)
        self.fc1 = Linear(width, hidden)
        self.fc2 = Linear(hidden, width)
        self.final_layer_norm = nn.LayerNorm(width)


class Encoder(nn.Module):
    """Two convolutions, positions, layers and a norm; see `encoder.encode`.

    Attributes:
        config: the shape of the Whisper.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.config, self.dropout = shape, shape.dropout
        width = shape.d_model
        self.conv1 = Conv1d(shape.num_mel_bins, width, kernel_size=3, padding=1)
        self.conv2 = Conv1d(width, width, kernel_size=3, stride=2, padding=1)
        self.embed_positions = Embedding(shape.max_source_positions, width)
        self.embed_positions.requires_grad_(requires_grad=False)
        self.layers = nn.ModuleList(
            Layer(shape, shape.encoder_attention_heads, shape.encoder_ffn_dim, across=False)
            for _ in range(shape.encoder_layers)
        )
        self.layer_norm = nn.LayerNorm(width)


class Decoder(nn.Module):
    """Embeddings of tokens and positions, layers and a norm; see `decoder.decode`."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.dropout = shape.dropout
        self.embed_tokens = Embedding(shape.vocab_size, shape.d_model, shape.pad_token_id)
        self.embed_positions = Embedding(shape.max_target_positions, shape.d_model)
        self.layers = nn.ModuleList(
            Layer(shape, shape.decoder_attention_heads, shape.decoder_ffn_dim, across=True)
            for _ in range(shape.decoder_layers)
        )
        self.layer_norm = nn.LayerNorm(shape.d_model)


class _Sides(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.encoder, self.decoder = Encoder(shape), Decoder(shape)


class WhisperNetwork(nn.Module):
    """Encoder, decoder and output matrix, as in transformers' `WhisperForConditionalGeneration`.

    Its weights are yet to be loaded, or drawn by `start`.

    Attributes:
        config: its shape.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.config = shape
        self.model = _Sides(shape)
        self.proj_out = Linear(shape.d_model, shape.vocab_size, bias=False)
        if shape.tie_word_embeddings:
            self.proj_out.weight = self.model.decoder.embed_tokens.weight

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.proj_out.weight.device

    @torch.no_grad()
    def start(self) -> WhisperNetwork:
        """Draw all weights as Whisper's are drawn."""
        for module in self.modules():
            if isinstance(module, Linear | Conv1d | Embedding):
                module.weight.normal_(std=self.config.init_std)
                if not isinstance(module, Embedding) and module.bias is not None:
                    module.bias.zero_()
        positions = self.model.encoder.embed_positions.weight
        positions.copy_(_sinusoids(*positions.shape))
        return self


def in_bfloat16(model: WhisperNetwork) -> WhisperNetwork:
    """Return the network with its products' weights in bfloat16, but for the output matrix's.

    Autocast makes them so for every product anew where no gradient is asked for. What is not
    multiplied is shared.
    """
    memo = {id(parameter): parameter for parameter in model.parameters()}
    for module in model.modules():
        if isinstance(module, Linear | Conv1d) and module is not model.proj_out:
            for own in module.parameters():
                memo[id(own)] = nn.Parameter(own.bfloat16(), requires_grad=False)
    return deepcopy(model, memo)


def _sinusoids(length: int, width: int) -> Tensor:
    """Return the encoder's positions, (length, width): sines, then cosines."""
    rates = torch.exp(-math.log(10_000) / (width // 2 - 1) * torch.arange(width // 2))
    angles = torch.arange(length)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)
