"""Tensors on their way to a device: many in one copy, for which the host does not wait."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

Structure = TypeVar("Structure")

_ALIGNMENT = 16  # bytes, so that each tensor begins where its numbers may


def to_device(what: Structure, device: torch.device) -> Structure:
    """Return a structure with its tensors on the device.

    They are laid into one block of pinned memory, which is copied while the host goes on: a copy
    that it waits for costs a GPU more than what these are.

    Args:
        what: tensors of the host, in dataclasses and tuples of any depth. What else is in them,
            such as NumPy arrays, stays as it is.
        device: where they are wanted; on a CPU they are what they were.
    """
    if device.type == "cpu":
        return what
    found: dict[int, Tensor] = {}
    _mapped(what, lambda tensor: found.setdefault(id(tensor), tensor))
    sizes = [-(-tensor.nbytes // _ALIGNMENT) * _ALIGNMENT for tensor in found.values()]
    block = torch.empty(sum(sizes), dtype=torch.uint8, pin_memory=device.type == "cuda")
    for tensor, place in zip(found.values(), block.split(sizes), strict=True):
        _as(place, tensor).copy_(tensor)
    there = block.to(device, non_blocking=True).split(sizes)
    moved = {
        key: _as(place, tensor) for (key, tensor), place in zip(found.items(), there, strict=True)
    }
    return cast(Structure, _mapped(what, lambda tensor: moved[id(tensor)]))


def _as(place: Tensor, like: Tensor) -> Tensor:
    """Return a place of bytes as a tensor of the dtype and shape of another."""
    return place[: like.nbytes].view(like.dtype).view(like.shape)


def _mapped(what: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Return a structure with each of its tensors changed."""
    if isinstance(what, Tensor):
        return change(what)
    if is_dataclass(what) and not isinstance(what, type):
        parts = {one.name: _mapped(getattr(what, one.name), change) for one in fields(what)}
        return replace(what, **parts)
    if isinstance(what, tuple):
        own = [_mapped(one, change) for one in what]
        return type(what)(*own) if hasattr(what, "_fields") else tuple(own)
    return what
