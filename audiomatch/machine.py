"""What the machine is: device, cores, versions."""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import platform
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from audiomatch.errors import UserError
from audiomatch.files import Place, user_path
from audiomatch.matcher import Precision, Run
from audiomatch.progress import Progress, QuietProgress, for_terminal
from audiomatch.records import MachineRecord
from audiomatch.running.identity import installed_versions

DEVICE = re.compile(r"cpu|mps|cuda(:\d+)?")
CGROUP_OF_PROCESS = Path("/proc/self/cgroup")
CGROUPS = Path("/sys/fs/cgroup")
CPUINFO = Path("/proc/cpuinfo")
# What decides how sums are split, and so the last digits of what a network learns.
_VECTORS = re.compile(r"(avx|amx|fma|asimd|sve)\w*")
_THREADS = re.compile(r"\w+_(NUM_THREADS|MAX_THREADS|MAXIMUM_THREADS)")


def make_run(
    device: str = "auto",
    precision: Precision = "auto",
    seed: int = 0,
    workers: int | None = None,
    cache: Place | None = None,
    progress: bool | Progress = False,
    gpus: int | None = None,
    *,
    several: bool = False,
) -> Run:
    """Make the `Run` that a caller asked for; raises `UserError`.

    `device` may be `auto`, and with `several` what `resolve_devices` takes; `workers`, `cache` and
    `gpus` are None for what the machine has; `progress` is shown on stderr where it is True.
    """
    if precision not in get_args(Precision):
        raise UserError(f"--precision {precision}: must be {', '.join(get_args(Precision))}")
    if not 0 <= seed < 2**32:
        raise UserError(f"--seed {seed}: must be from 0 to {2**32 - 1}")
    if workers is not None and workers < 1:
        raise UserError(f"--workers {workers}: at least 1")
    if isinstance(progress, bool):
        progress = for_terminal() if progress else QuietProgress()
    devices = resolve_devices(device, gpus)
    if len(devices) > 1 and not several:
        raise UserError(f"--device {device}: one device here; bench, fit and predict take several")
    return Run(
        cache=(user_path(cache) if cache is not None else default_cache()).resolve(),
        device=devices[0],
        precision=precision,
        seed=seed,
        workers=workers or default_workers(),
        progress=progress,
        devices=devices if len(devices) > 1 else (),
    )


def resolve_devices(named: str, gpus: int | None = None) -> tuple[str, ...]:
    """Return the devices that `named` lists: one, `cuda:0,cuda:1`, or `cpu*2`.

    The last is two processes on the CPU. `gpus` is as for `resolve_device`. Raises `UserError`.
    """
    if "*" in named:
        count, most = re.fullmatch(r"cpu\*(\d{1,4})", named), max(2, default_workers())
        if not count or not 1 <= int(count[1]) <= most:
            raise UserError(f"--device {named}: must be cpu*N, with N from 1 to {most} here")
        return ("cpu",) * int(count[1])
    names = named.split(",")
    if len(names) == 1:
        return (resolve_device(named, gpus),)
    right = "must be GPUs with commas between, each once, as in cuda:0,cuda:1; or cpu*2"
    numbers = [re.fullmatch(r"cuda(?::(\d+))?", name) for name in names]
    found = tuple(f"cuda:{int(number[1] or 0)}" for number in numbers if number)
    if len(set(found)) < len(names):
        raise UserError(f"--device {named}: {right}")
    return tuple(resolve_device(name, gpus) for name in found)


def resolve_device(name: str, gpus: int | None = None) -> str:
    """Return the device that `name` stands for; `auto` is `cuda` where there is a GPU.

    `gpus` is how many there are where the work is done; None: as this machine's driver says.
    """
    if name == "auto":
        return "cuda" if (_cuda_devices() if gpus is None else gpus) else "cpu"
    if not DEVICE.fullmatch(name):
        raise UserError(f"--device {name}: must be auto, cpu, cuda, cuda:N or mps")
    kind, _, index = name.partition(":")
    if kind == "cuda" and int(index or 0) >= (found := _cuda_devices() if gpus is None else gpus):
        there = (
            f"there is cuda:0 to cuda:{found - 1}" if found else "no CUDA GPU is found; take cpu"
        )
        raise UserError(f"--device {name}: {there}")
    return name


def _cuda_devices() -> int:
    return len(_cuda_names())


def _cuda_names() -> tuple[str, ...]:
    """Name the GPUs by the driver itself, so that the core need not import torch."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return ()
    count = ctypes.c_int(0)
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
        return ()
    name = ctypes.create_string_buffer(256)
    names = []
    for device in range(count.value):  # the driver's handle of a device is its number
        known = driver.cuDeviceGetName(name, len(name), device) == 0
        names.append(name.value.decode(errors="replace") if known else "")
    return tuple(names)


def default_workers() -> int:
    """Return how many cores this process may use: its affinity, and its cgroup's CPU quota."""
    if hasattr(os, "process_cpu_count"):  # from Python 3.13; takes PYTHON_CPU_COUNT into account
        allowed = os.process_cpu_count() or 1
    elif hasattr(os, "sched_getaffinity"):
        allowed = len(os.sched_getaffinity(0))
    else:
        allowed = os.cpu_count() or 1
    # Up: a quota of 1.5 cores keeps two threads busy three quarters of the time.
    return max(1, math.ceil(min([allowed, *_quotas()])))


def _quotas() -> Iterator[float]:
    """Yield the CPU quotas, in cores, of this process's control groups and their parents (Linux).

    A line of `/proc/self/cgroup` is `number:controllers:path`; version 2 has no controllers there
    (cgroups(7)). A container may see its own group as the root, so each parent is looked at.
    """
    try:
        lines = CGROUP_OF_PROCESS.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        group = CGROUPS / controllers / path.lstrip("/")
        for folder in (group, *group.parents):
            if not folder.is_relative_to(CGROUPS / controllers):
                break
            # A file that is not there, or "max" and -1 in it: no quota.
            with contextlib.suppress(OSError, ValueError):
                if controllers:
                    quota = int((folder / "cpu.cfs_quota_us").read_text())
                    period = int((folder / "cpu.cfs_period_us").read_text())
                else:
                    quota, period = map(int, (folder / "cpu.max").read_text().split())
                if quota > 0:
                    yield quota / period


def wait_passively() -> None:
    """Let threads of OpenMP sleep while they wait, unless the user has said how they wait.

    Spinning takes the cores that the working threads need where other programs run too. libgomp
    and LLVM's OpenMP read this when they are loaded, so it comes before any numeric library.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def default_cache() -> Path:
    """Return `$AUDIOMATCH_CACHE`, else the user's cache folder for audiomatch."""
    import platformdirs

    named = os.environ.get("AUDIOMATCH_CACHE")
    return user_path(named) if named else platformdirs.user_cache_path("audiomatch")


def versions() -> dict[str, str]:
    """Return the versions of Python, of audiomatch and its plugins, and of what they declare."""
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        **installed_versions(),
    }


def machine_record() -> MachineRecord:
    """Return what this process computes on."""
    try:
        facts = dict(re.findall(r"^(.+?)\s*: *(.*)$", CPUINFO.read_text(), re.MULTILINE))
    except OSError:
        facts = {}
    flags = (facts.get("flags") or facts.get("Features", "")).split()
    return MachineRecord(
        processor=facts.get("model name") or platform.processor() or platform.machine(),
        instructions=tuple(sorted(filter(_VECTORS.fullmatch, flags))),
        cores=default_workers(),
        threads={name: os.environ[name] for name in sorted(filter(_THREADS.fullmatch, os.environ))},
        gpus=_cuda_names(),
    )
