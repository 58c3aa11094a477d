"""Runs a checkpoint by the modules of the package laion-clap.

`import laion_clap` loads three tokenizers from a hub and asks for torchvision, wandb and more, none
of which its model needs. So only its `clap_module/htsat.py` is imported, as a module of a private
package; the text tower is, as there, transformers' `RobertaModel`.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from audiomatch_torch import load_into, save_tensors
from torch import Tensor, nn
from torch.nn import functional
from transformers import RobertaConfig, RobertaModel

from audiomatch.errors import WeightsError
from audiomatch_clap.checkpoint import Shape
from audiomatch_clap.text import TextEncoder
from audiomatch_clap.towers import ROBERTA_EPS, ClapTowers, laion_extractor

FILE = "laion.safetensors"
_PACKAGE = "audiomatch_clap._laion_clap"
_UNUSED = ("audio_transform.", "text_transform.", "logit_scale", "attn_mask")


class LaionTowers(ClapTowers):
    """HTSAT of laion-clap and RoBERTa, put together as in its `clap_module.model.CLAP`."""

    def __init__(self, tensors: dict[str, Tensor], text: TextEncoder, name: str) -> None:
        """Build and load; raises `WeightsError` with `name` where the tensors do not fit."""
        super().__init__()
        shape = Shape.of(tensors, name)
        self.text, self.extractor, self.width = text, laion_extractor(shape), shape.joint
        self.audio_branch = _htsat(shape)
        roberta = _roberta(shape)
        self.text_branch = RobertaModel(roberta)
        self.most_tokens = shape.positions - int(roberta.pad_token_id or 0) - 1
        self.audio_projection = _projection(shape.audio_width, shape.joint)
        self.text_projection = _projection(shape.text_width, shape.joint)
        used = {k: v for k, v in tensors.items() if not k.startswith(_UNUSED)}
        load_into(self, used, name)
        if text.size > shape.vocabulary:
            raise WeightsError(f"{name}: tokenizer of {text.size} ids, model of {shape.vocabulary}")

    def audio(self, mel: Tensor) -> Tensor:
        """Log-mel (crops, frames, mels) to embeddings (crops, width) of length 1.

        What `HTSAT_Swin_Transformer.forward` does after its front end with clips that are no longer
        than the window.
        """
        branch: Any = self.audio_branch
        image = branch.bn0(mel[:, None].transpose(1, 3)).transpose(1, 3)
        if self.training:
            image = branch.spec_augmenter(image)
        states = branch.forward_features(branch.reshape_wav2img(image), longer_idx=[])
        return functional.normalize(self.audio_projection(states["embedding"]), dim=-1)

    def texts(self, ids: Tensor) -> Tensor:
        """Padded ids (n, tokens) to embeddings (n, width) of length 1."""
        mask = (ids != self.text.pad).long()
        states = self.text_branch(input_ids=ids, attention_mask=mask)
        return functional.normalize(self.text_projection(states.pooler_output), dim=-1)

    def save(self, folder: Path) -> None:
        """Write the tensors by their names in laion-clap, and the tokenizer."""
        save_tensors(self.state_dict(), folder / FILE)
        self.text.save(folder)


def check_installed() -> None:
    """Raise `WeightsError` where laion-clap's model cannot be run."""
    _htsat_module()


def _projection(width: int, joint: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, joint), nn.ReLU(), nn.Linear(joint, joint))


def _roberta(shape: Shape) -> RobertaConfig:
    return RobertaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.text_width,
        num_hidden_layers=shape.text_layers,
        num_attention_heads=shape.text_heads,
        intermediate_size=shape.text_inner,
        max_position_embeddings=shape.positions,
        type_vocab_size=shape.types,
        layer_norm_eps=ROBERTA_EPS,
    )


def _htsat(shape: Shape) -> nn.Module:
    front = SimpleNamespace(
        mel_bins=shape.mels,
        sample_rate=48_000,
        window_size=1024,
        hop_size=480,
        fmin=50,
        fmax=14_000,
    )
    module = _htsat_module().HTSAT_Swin_Transformer(
        spec_size=shape.spectrogram,
        patch_size=shape.patch,
        patch_stride=(shape.patch, shape.patch),
        num_classes=shape.classes,
        embed_dim=shape.width,
        depths=list(shape.depths),
        num_heads=list(shape.heads),
        window_size=shape.window,
        mlp_ratio=shape.mlp_ratio,
        config=front,
        enable_fusion=shape.fused,
        fusion_type="aff_2d" if shape.fused else "None",
    )
    assert isinstance(module, nn.Module)
    return module


@cache
def _htsat_module() -> ModuleType:
    spec = importlib.util.find_spec("laion_clap")
    places = list(spec.submodule_search_locations or ()) if spec else []
    folder = next(
        (Path(p) / "clap_module" for p in places if Path(p, "clap_module").is_dir()), None
    )
    if folder is None:
        raise WeightsError(
            "backend=laion: laion-clap is not installed; pip install 'audiomatch-clap[laion]' "
            "(or --no-deps laion-clap torchlibrosa librosa), or take backend=transformers"
        )
    package = ModuleType(_PACKAGE)
    package.__path__ = [str(folder)]
    utils = ModuleType(f"{_PACKAGE}.utils")
    # htsat.py takes these two from a module that imports torchvision and h5py for others.
    utils.interpolate = _interpolate  # type: ignore[attr-defined]
    utils.do_mixup = _do_mixup  # type: ignore[attr-defined]
    sys.modules[_PACKAGE], sys.modules[utils.__name__] = package, utils
    try:
        return importlib.import_module(f"{_PACKAGE}.htsat")
    except ImportError as error:
        raise WeightsError(
            f"backend=laion: laion-clap needs {error.name or error}; pip install {error.name}, "
            "or take backend=transformers"
        ) from None


def _interpolate(x: Tensor, ratio: int) -> Tensor:
    """Repeat each frame: (n, frames, classes) to (n, frames * ratio, classes)."""
    return torch.repeat_interleave(x, ratio, dim=1)


def _do_mixup(x: Tensor, mixup_lambda: Tensor) -> Tensor:
    raise NotImplementedError("audiomatch trains without mixup")
