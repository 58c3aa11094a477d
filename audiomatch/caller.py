"""What a call leaves as it found it: random states, the working folder, settings of torch."""

from __future__ import annotations

import contextlib
import functools
import os
import random
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

Restore = Callable[[], object]
_ATTRIBUTES = (
    "backends.cuda.matmul.fp32_precision",
    "backends.cudnn.benchmark",
    "backends.cudnn.conv.fp32_precision",
    "backends.cudnn.deterministic",
    "backends.cudnn.enabled",
    "utils.deterministic.fill_uninitialized_memory",
)


@contextlib.contextmanager
def caller_state() -> Iterator[None]:
    """Put back on leaving what a matcher may change for the whole process.

    That is the global random state of Python, NumPy and torch, the working folder, and torch's
    deterministic and cuDNN flags, default dtype, gradient mode, threads and current device. torch
    is looked at where it is imported, and never imported here. Calls may nest and overlap in
    threads: what the process shares is put back when the last one leaves.
    """
    own = _of_thread(sys.modules.get("torch"))
    _SHARED.enter()
    try:
        yield
    finally:
        _SHARED.leave()
        _put_back(own)


class _Shared:
    """The state that all threads share, kept from the first entry to the last leave."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.inside = 0
        self.kept: list[Restore] = []

    def enter(self) -> None:
        with self.lock:
            if self.inside == 0:
                self.kept = _of_process(sys.modules.get("torch"))
            self.inside += 1

    def leave(self) -> None:
        with self.lock:
            self.inside -= 1
            if self.inside == 0:
                _put_back(self.kept)


_SHARED = _Shared()


def _put_back(kept: list[Restore]) -> None:
    for restore in kept:
        restore()


def _state(read: Callable[[], Any], write: Callable[[Any], object]) -> Restore:
    """Return what writes the present state back."""
    before = read()
    return lambda: write(before)


def _setting(read: Callable[[], Any], write: Callable[[Any], object]) -> Restore:
    """Return what writes a setting's present value back where it has changed."""
    before = read()

    def restore() -> None:
        if read() != before:
            write(before)

    return restore


def _attribute(module: Any, path: str) -> Restore:
    """Return the same of an attribute below a module, where this release of it has that."""
    *above, name = path.split(".")
    holder = functools.reduce(lambda one, part: getattr(one, part, None), above, module)
    if not hasattr(holder, name):
        return lambda: None
    return _setting(lambda: getattr(holder, name), lambda value: setattr(holder, name, value))


def _of_process(torch: Any) -> list[Restore]:
    kept = [
        _state(random.getstate, random.setstate),
        _state(np.random.get_state, np.random.set_state),
    ]
    with contextlib.suppress(FileNotFoundError):  # a working folder that is deleted has no name
        kept.append(_setting(os.getcwd, os.chdir))
    return kept + (_of_torch(torch) if torch else [_reseed_fresh_torch])


def _of_torch(torch: Any) -> list[Restore]:
    return [
        _setting(
            lambda: (
                torch.are_deterministic_algorithms_enabled(),
                torch.is_deterministic_algorithms_warn_only_enabled(),
            ),
            lambda before: torch.use_deterministic_algorithms(before[0], warn_only=before[1]),
        ),
        _setting(torch.get_default_dtype, torch.set_default_dtype),
        *(_attribute(torch, path) for path in _ATTRIBUTES),
        _state(torch.get_rng_state, torch.set_rng_state),
        *_of_gpus(torch),
    ]


def _of_gpus(torch: Any) -> list[Restore]:
    kept: list[Restore] = []
    if torch.cuda.is_initialized():
        kept.append(_state(torch.cuda.get_rng_state_all, torch.cuda.set_rng_state_all))
    else:
        seed = torch.initial_seed()  # what a GPU that is first used later starts from
        kept.append(lambda: torch.cuda.manual_seed_all(seed))
    if torch.backends.mps.is_available():
        kept.append(_state(torch.mps.get_rng_state, torch.mps.set_rng_state))
    return kept


def _of_thread(torch: Any) -> list[Restore]:
    if torch is None:
        return []
    kept = [
        _setting(torch.is_grad_enabled, torch.set_grad_enabled),
        _setting(torch.get_num_threads, torch.set_num_threads),
    ]
    if torch.cuda.is_initialized():
        kept.append(_setting(torch.cuda.current_device, torch.cuda.set_device))
    return kept


def _reseed_fresh_torch() -> None:
    """Give a torch that was imported meanwhile a seed of chance, as a fresh import has."""
    torch: Any = sys.modules.get("torch")
    if torch is not None:
        torch.seed()
