"""Tensors on disk: safetensors only, with errors that name the file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor, nn

from audiomatch.errors import WeightsError


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
    safetensors.torch.save_file(kept, path, metadata={"format": "pt"})


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file; raises `WeightsError` where it is missing or damaged."""
    try:
        return safetensors.torch.load_file(path)
    except (safetensors.SafetensorError, FileNotFoundError, OSError) as error:
        reason = "it is missing" if isinstance(error, FileNotFoundError) else str(error)
        raise WeightsError(
            f"{path}: not readable as safetensors ({reason.splitlines()[0]}); fetch it again"
        ) from None


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
