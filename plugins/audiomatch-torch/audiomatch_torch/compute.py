"""Device, precision, threads and seed of a run, by accelerate."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor

from audiomatch.errors import UserError
from audiomatch.matcher import Run
from audiomatch_torch.batches import Rows
from audiomatch_torch.checkpoints import Checkpoints
from audiomatch_torch.randomness import RandomState, seed_everything
from audiomatch_torch.ranks import current_ranks
from audiomatch_torch.transfer import to_device

if TYPE_CHECKING:
    from accelerate import Accelerator

CPU_SECONDS_AT_ONCE = 60.0
_MIXED = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}
_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Compute:
    """Where and how tensors are computed: `with Compute(run) as compute` around a fit or predict.

    Inside, torch takes `run.workers` threads and everything is seeded. On leaving, the caller's
    threads and random state are back.

    Attributes:
        run: what the user asked for.
        device: the torch device; move tensors and models there.
        precision: `fp32`, `bf16` or `fp16`; weights stay fp32, see `autocast`.
        native_bf16: whether the device is a CPU with instructions for bfloat16 and the run leaves
            the precision to the matcher: frozen parts may then compute in it, about twice as fast.
        native_int8: the same of products of bytes.
        ranks: the processes that fit together with this one.
        checkpoints: of the fit that this is around; None where nothing is to be kept.
    """

    def __init__(self, run: Run) -> None:
        """Check the device and precision of `run` and seed; raises `UserError`."""
        self.run = run
        self.device = device_of(run.device)
        on_cpu = self.device.type == "cpu"
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)
            torch.cuda.reset_peak_memory_stats(self.device)
        self.precision = _precision(run.precision, self.device)
        free = run.precision == "auto" and on_cpu
        self.native_bf16 = free and _cpu_has("avx512_bf16", "amx_bf16")
        self.native_int8 = free and _cpu_has("avx512_vnni")
        self.ranks = current_ranks()
        self.checkpoints: Checkpoints | None = None
        self._random = RandomState.now(self.device)
        self._threads = torch.get_num_threads()
        seed_everything(run.seed)

    @cached_property
    def accelerator(self) -> Accelerator:
        """What takes gradients and clips them, by the run's device and precision."""
        from accelerate import Accelerator  # half a second, which predicting has not
        from accelerate.state import AcceleratorState

        # accelerate keeps its state for the whole process, but a process runs many matchers.
        AcceleratorState._reset_state(reset_partial_state=True)  # noqa: SLF001 - no public way
        return Accelerator(
            cpu=self.device.type not in ("cuda", "mps"), mixed_precision=_MIXED[self.precision]
        )

    def __enter__(self) -> Self:
        torch.set_num_threads(max(1, self.run.workers))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        torch.set_num_threads(self._threads)
        self._random.restore()

    def autocast(self) -> AbstractContextManager[Any]:
        """Return a context in which matrix work runs in the run's precision.

        Where gradients are asked for, casts of weights are not kept within the context. Torch
        before 2.11 would keep those of a pass under `no_grad` for the pass with gradients too, and
        the weights then get none (pytorch issues 65766, 105211, 112583).
        """
        if self.precision == "fp32":
            return nullcontext()
        return torch.autocast(
            self.device.type,
            _TYPES[self.precision],
            cache_enabled=not torch.is_grad_enabled(),
        )

    def capacity(
        self, asked: float | None, cpu: float = CPU_SECONDS_AT_ONCE, gpu: float | None = None
    ) -> float | None:
        """Return the most padded length in one forward pass; None for what memory allows.

        Args:
            asked: the user's own limit, None where not given.
            cpu: the default on a CPU, where larger passes gain nothing and take memory.
            gpu: the default elsewhere.
        """
        if asked is not None:
            return asked
        return cpu if self.device.type == "cpu" else gpu

    def index(self, rows: Rows) -> Tensor:
        """Return row numbers as an index of tensors on the device, int64 (rows,)."""
        return to_device(torch.from_numpy(rows), self.device)

    @contextmanager
    def deterministic(self) -> Iterator[None]:
        """Ask torch for deterministic kernels, and note the peak GPU memory at the end."""
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        before = torch.are_deterministic_algorithms_enabled()
        warn_before = torch.is_deterministic_algorithms_warn_only_enabled()
        settings: Any = torch.utils.deterministic
        fill_before = settings.fill_uninitialized_memory
        _set_deterministic_algorithms(mode=True, warn_only=True)
        # Filling fresh memory is for finding bugs, and slow.
        settings.fill_uninitialized_memory = False
        try:
            yield
        finally:
            _set_deterministic_algorithms(before, warn_only=warn_before)
            settings.fill_uninitialized_memory = fill_before
            self.note_peak()

    def note_peak(self) -> None:
        """Record the most GPU memory allocated so far, in MB; nothing on a CPU."""
        if self.device.type == "cuda":
            peak = torch.cuda.max_memory_allocated(self.device) / 1e6
            known = float(self.run.notes.get("peak_gpu_memory_mb", 0.0))
            self.run.note(peak_gpu_memory_mb=round(max(peak, known), 1))


def without_autocast(device: torch.device) -> AbstractContextManager[Any]:
    """Return a context in which nothing is cast to the run's precision."""
    if not torch.amp.is_autocast_available(device.type):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


def device_of(name: str) -> torch.device:
    """Return the device of this name; raises `UserError` where there is none."""
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


def _set_deterministic_algorithms(mode: bool, *, warn_only: bool) -> None:
    """Do what `torch.use_deterministic_algorithms` does, but not import torch's compiler for it."""
    torch._C._set_deterministic_algorithms(mode, warn_only=warn_only)  # noqa: SLF001


def _cpu_has(*names: str) -> bool:
    """Whether the CPU has instructions of one of these names."""
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # new in torch
    return any(capabilities.get(name) for name in names)


def _precision(asked: str, device: torch.device) -> str:
    """Return the precision of a run on `device`; bf16 is taken only where it is not emulated."""
    native = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    if asked == "auto":
        return "fp32" if device.type != "cuda" else "bf16" if native else "fp16"
    if asked == "fp16" and device.type == "cpu":
        raise UserError("precision fp16 needs a GPU; on cpu take fp32 or bf16")
    if asked == "bf16" and device.type == "cuda" and not native:
        raise UserError("precision bf16: this GPU only emulates it, slowly; take fp16 or fp32")
    return asked
