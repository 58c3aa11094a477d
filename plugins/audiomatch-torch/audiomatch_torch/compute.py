"""Device, precision and seed of a run, by accelerate."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator  # type: ignore[import-untyped]
from accelerate.state import AcceleratorState  # type: ignore[import-untyped]

from audiomatch.errors import UserError
from audiomatch.matcher import Run

_MIXED = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}


class Compute:
    """Where and how tensors are computed: made once in `fit`, `predict` or `load`.

    Attributes:
        device: the torch device; move tensors and models there.
        precision: `fp32`, `bf16` or `fp16`; weights stay fp32, see `autocast`.
        native_bf16: whether the device is a CPU with instructions for bfloat16 and the run leaves
            the precision to the matcher: frozen parts may then compute in it, about twice as fast.
        native_int8: the same of products of bytes.
    """

    def __init__(self, run: Run) -> None:
        """Check the device and precision of `run` and seed; raises `UserError`."""
        self.device = _device(run.device)
        self.precision = _precision(run.precision, self.device)
        free = run.precision == "auto" and self.device.type == "cpu"
        self.native_bf16 = free and _cpu_has("avx512_bf16", "amx_bf16")
        self.native_int8 = free and _cpu_has("avx512_vnni")
        self._run = run
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)
            torch.cuda.reset_peak_memory_stats(self.device)
        # accelerate keeps its state for the whole process, but a process runs many matchers.
        AcceleratorState._reset_state(reset_partial_state=True)
        self.accelerator = Accelerator(
            cpu=self.device.type == "cpu", mixed_precision=_MIXED[self.precision]
        )
        self.seed(run.seed)

    def seed(self, seed: int) -> None:
        """Seed Python, NumPy and torch on every device."""
        random.seed(seed)
        np.random.seed(seed % 2**32)
        torch.manual_seed(seed)

    def autocast(self) -> AbstractContextManager[None]:
        """Return a context in which matrix work runs in the run's precision."""
        if self.precision == "fp32":
            return nullcontext()
        context: AbstractContextManager[None] = self.accelerator.autocast()
        return context

    @contextmanager
    def deterministic(self) -> Iterator[None]:
        """Ask torch for deterministic kernels, and note the peak GPU memory at the end."""
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        before = torch.are_deterministic_algorithms_enabled()
        warn_before = torch.is_deterministic_algorithms_warn_only_enabled()
        settings: Any = torch.utils.deterministic
        fill_before = settings.fill_uninitialized_memory
        torch.use_deterministic_algorithms(True, warn_only=True)
        # Filling fresh memory is for finding bugs, and slow.
        settings.fill_uninitialized_memory = False
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before, warn_only=warn_before)
            settings.fill_uninitialized_memory = fill_before
            self.note_peak()

    def note_peak(self) -> None:
        """Record the most GPU memory allocated so far, in MB; nothing on a CPU."""
        if self.device.type == "cuda":
            peak = torch.cuda.max_memory_allocated(self.device) / 1e6
            known = float(self._run.notes.get("peak_gpu_memory_mb", 0.0))
            self._run.note(peak_gpu_memory_mb=round(max(peak, known), 1))


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"device {name!r} is not known; take cpu, cuda, cuda:N or mps") from None
    if device.type == "cuda":
        if torch.version.cuda is None and torch.version.hip is None:
            raise UserError(
                f"device {name!r}: this torch ({torch.__version__}) is built without CUDA; "
                "take cpu, or install a CUDA build of torch"
            )
        found = torch.cuda.device_count()
        if not found:
            raise UserError(f"device {name!r}: no CUDA GPU is found; take cpu")
        index = device.index or 0
        if index >= found:
            raise UserError(f"device {name!r}: there is only cuda:0 to cuda:{found - 1}")
        return torch.device("cuda", index)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UserError(f"device {name!r}: no Apple GPU is found; take cpu")
    if device.type not in ("cpu", "mps"):
        raise UserError(f"device {name!r} is not supported; take cpu, cuda, cuda:N or mps")
    return device


def _cpu_has(*names: str) -> bool:
    """Whether the CPU has instructions of one of these names."""
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # new in torch
    return any(capabilities.get(name) for name in names)


def _precision(asked: str, device: torch.device) -> str:
    if asked == "auto":
        return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"
    if asked == "fp16" and device.type == "cpu":
        raise UserError("precision fp16 needs a GPU; on cpu take fp32 or bf16")
    if asked == "bf16" and device.type == "cuda" and not torch.cuda.is_bf16_supported():
        raise UserError("precision bf16: this GPU cannot; take fp16 or fp32")
    return asked
