"""Tensors on disk: safetensors, and pickles of tensors alone, with errors that name the file."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from audiomatch.errors import WeightsError
from audiomatch.files import atomic_file
from audiomatch_torch.weights import first_line

# Training wrote NumPy scalars (the best score so far) beside the weights of some: plain data.
_SCALAR = np.float64(0).__reduce__()[0]  # numpy's own name for it changed with numpy 2
_PLAIN: list[Any] = [
    (_SCALAR, "numpy.core.multiarray.scalar"),
    (_SCALAR, "numpy._core.multiarray.scalar"),
    np.dtype,
    *(type(np.dtype(code)) for code in ("f8", "f4", "i8")),
]


def save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors as safetensors; of tensors that share memory only the first name is kept."""
    seen: set[tuple[int, int, tuple[int, ...]]] = set()
    kept: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        place = (tensor.data_ptr(), tensor.numel(), tuple(tensor.stride()))
        if tensor.numel() and place in seen:
            continue
        seen.add(place)
        kept[name] = tensor.detach().cpu().contiguous()
    with atomic_file(path) as temporary:
        safetensors.torch.save_file(kept, temporary, metadata={"format": "pt"})


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file; raises `WeightsError` where it is missing or damaged."""
    try:
        return safetensors.torch.load_file(path)
    except (safetensors.SafetensorError, FileNotFoundError, OSError) as error:
        reason = "it is missing" if isinstance(error, FileNotFoundError) else first_line(error)
        raise WeightsError(
            f"{path}: not readable as safetensors ({reason}); fetch it again"
        ) from None


def load_pickled(path: Path) -> dict[str, Any]:
    """Read a checkpoint of `torch.save` without running code: tensors and plain data by name.

    Raises `WeightsError` where the file is damaged, holds no dictionary, or would run code.
    """
    try:
        with torch.serialization.safe_globals(_PLAIN):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"(?:GLOBAL|global) (\S+)", str(error))
        wants = found[1] if found else "something that is not plain data"
        raise WeightsError(
            f"{path}: loading it would run code (it wants {wants}); it is refused, "
            "take a checkpoint of tensors alone"
        ) from None
    except (RuntimeError, EOFError, OSError, ValueError) as error:
        raise WeightsError(
            f"{path}: not readable as a torch checkpoint ({first_line(error)}); fetch it again"
        ) from None
    if not isinstance(content, dict):
        raise WeightsError(f"{path}: holds a {type(content).__name__}, not tensors by name")
    return content


def load_into(model: nn.Module, tensors: Mapping[str, Tensor], name: str) -> None:
    """Copy tensors into `model`; raises `WeightsError` with `name` where they do not fit.

    Names may be absent from `tensors` only where the model ties them to another name.
    """
    own = model.state_dict(keep_vars=True)
    for key, tensor in tensors.items():
        if key not in own:
            raise WeightsError(f"{name}: the model has no tensor {key!r}; another architecture")
        if own[key].shape != tensor.shape:
            raise WeightsError(
                f"{name}: {key!r} is {tuple(tensor.shape)}, the model wants {tuple(own[key].shape)}"
            )
    given = {id(own[key]) for key in tensors}
    missing = [key for key, tensor in own.items() if id(tensor) not in given]
    if missing:
        raise WeightsError(f"{name}: tensor {missing[0]!r} is missing; another architecture")
    model.load_state_dict(dict(tensors), strict=False)
