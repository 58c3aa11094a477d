"""Executor `ray`: the folds of a comparison on a Ray cluster."""

from __future__ import annotations

from audiomatch import hookimpl
from audiomatch.running.executors import ExecutorInfo

__version__ = "0.2.0"


@hookimpl
def audiomatch_executors() -> list[ExecutorInfo]:
    """Offer the executor; Ray is imported when it is made."""
    summary = "all at once on a Ray cluster, or on all cores of this machine"
    return [ExecutorInfo("ray", summary, "audiomatch_ray.executor:RayExecutor")]
