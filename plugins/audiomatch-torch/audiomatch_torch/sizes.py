"""Sizes that a weights folder asks for, checked before memory is taken for them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from audiomatch.errors import WeightsError, brief
from audiomatch_torch.weights import first_line, read_config

Network = TypeVar("Network", bound=nn.Module)
Shape = TypeVar("Shape")

PREPROCESSOR = "preprocessor_config.json"
_PROCESSOR = "processor_config.json"  # since transformers 5
_ROOM = 2**20  # what a config may say in any case, and numbers that no file holds
# The most that a feature extractor of speech has; of any other number of its file `_ROOM`.
_MOST = {
    "chunk_length": 60,
    "feature_size": 1_024,
    "fft_window_size": 2**14,
    "hop_length": 2**14,
    "max_length_s": 60,
    "n_fft": 2**14,
    "nb_frequency_bins": 2**13 + 1,
    "num_mel_bins": 1_024,
    "sampling_rate": 192_000,
    "stride": 64,
}


def check_preprocessor(folder: Path) -> dict[str, Any]:
    """Return what preprocessor_config.json holds, or processor_config.json of the same.

    Raises `WeightsError` where it is missing, or asks for more than any extractor of speech has.
    """
    known = _preprocessor(folder)
    for name, number in _numbers(known):
        most = _MOST.get(name, _ROOM)
        if not abs(number) <= most or (name in _MOST and number <= 0):
            raise WeightsError(
                f"{folder / PREPROCESSOR}: {name} is {brief(number)}; the most is {most}"
            )
    for name in _MOST.keys() & known:
        if isinstance(known[name], bool) or not isinstance(known[name], int | float):
            raise WeightsError(f"{folder / PREPROCESSOR}: {name} must be a number")
    return known


def _preprocessor(folder: Path) -> dict[str, Any]:
    if not (folder / PREPROCESSOR).is_file() and (folder / _PROCESSOR).is_file():
        nested = read_config(folder, _PROCESSOR).get("feature_extractor")
        if isinstance(nested, dict):
            return nested
    return read_config(folder, PREPROCESSOR)


def check_config(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """Raise `WeightsError` where config.json holds numbers beyond what the tensors may be of."""
    held = sum(tensor.numel() for tensor in tensors.values())
    for name, number in _numbers(read_config(folder)):
        most = len(tensors) if "layers" in name or name == "depths" else max(held, _ROOM)
        if not abs(number) <= most:
            raise WeightsError(
                f"{folder / 'config.json'}: {name} is {brief(number)}, more than the files hold"
            )


def build_network(
    make: Callable[[Shape], Network],
    shape: Callable[[], Shape],
    tensors: Mapping[str, Tensor],
    name: str,
) -> Network:
    """Return the network of a shape, its weights still to be loaded.

    Raises `WeightsError` with `name` where the shape makes none, or one that is much larger than
    the tensors that are to fill it: before memory is taken.

    Args:
        make: makes the network.
        shape: reads the shape.
        tensors: what the files hold.
        name: of the file that says the shape.
    """
    held = sum(tensor.numel() for tensor in tensors.values())
    try:
        read = shape()
        with torch.device("meta"):
            wanted = _size_of(make(read))
        if wanted > 2 * held + _ROOM:
            raise WeightsError(f"{name}: asks for {wanted:,} numbers; the files hold {held:,}")
        return make(read)
    except WeightsError:
        raise
    except Exception as error:  # noqa: BLE001 - a shape that contradicts itself fails in many ways
        raise WeightsError(f"{name}: makes no model ({first_line(error)[:200]})") from None


def _size_of(network: nn.Module) -> int:
    return sum(tensor.numel() for tensor in (*network.parameters(), *network.buffers()))


def _numbers(content: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """Give each number at any depth, with the name it stands under; NaN and ±inf are infinity."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield from _numbers(value, str(key))
    elif isinstance(content, list):
        for value in content:
            yield from _numbers(value, name)
    elif isinstance(content, int | float) and not isinstance(content, bool):
        yield name, content if isinstance(content, int) or math.isfinite(content) else math.inf
