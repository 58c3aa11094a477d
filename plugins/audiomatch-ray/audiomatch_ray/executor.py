"""The executor `ray`: all jobs at once, wherever the cluster has room for them."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import pickle
import socket
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Annotated, Any, ParamSpec, TypeVar

import ray
from pydantic import Field
from ray.exceptions import (
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayTaskError,
    WorkerCrashedError,
)
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from audiomatch.errors import PluginError, UserError
from audiomatch.files import user_path
from audiomatch.machine import default_workers
from audiomatch.progress import Progress, QuietProgress
from audiomatch.running.jobs import Job
from audiomatch.running.process import LostWorkerError
from audiomatch.running.relay import RelayedTasks
from audiomatch_ray import task as by_value
from audiomatch_ray.bundles import Keep, Shipment, StoredBundle, keep_at
from audiomatch_ray.parcels import Packer
from audiomatch_ray.worker import Setting, forget

P = ParamSpec("P")
T = TypeVar("T")
Amount = Annotated[float, Field(ge=0)]

# What a job cannot be blamed for with certainty. Its own errors are answers, and never these.
LOST = (WorkerCrashedError, NodeDiedError, OutOfMemoryError, ObjectLostError)
_AT_ONCE = 10_000  # jobs that are waited for, each by a thread
_REACH = 10  # seconds that a cluster has to answer; Ray itself tries for minutes
_FAREWELL = 10  # seconds that machines have to delete what they were sent


class RayExecutor(ThreadPoolExecutor):
    """Runs jobs as tasks of Ray; a thread of this process waits for each and shows its progress.

    A job whose worker or machine is lost is given to another. Audio files are sent to machines that
    have not got them, each file once. What was started here is shut down in the end, and no more.

    Attributes:
        gpus: how many a job has.
    """

    def __init__(
        self,
        address: str = "",
        cpus: Amount = 1,
        gpus: Amount | None = None,
        retries: Annotated[int, Field(ge=0)] = 2,
        shared: str = "",
        store: str = "",
    ) -> None:
        """Connect to a cluster, or start one of this machine. Raises `UserError`.

        Args:
            address: `auto` for the cluster that this machine is part of, or `host:port`; else that
                of `$RAY_ADDRESS`, else a cluster is started.
            cpus: cores of a job, which are its `--workers` too.
            gpus: GPUs of a job; else one where the cluster has any.
            retries: how often a job is done again whose worker was lost.
            shared: a folder that all machines have under this path; the audio is read there.
            store: a URL that fsspec knows, by which the audio is sent, and where it stays.
        """
        if shared and store:
            raise UserError("--executor ray: either @shared or @store")
        super().__init__(_AT_ONCE, "ray")
        self._ours, local = _connect(address or os.environ.get("RAY_ADDRESS", ""))
        self._started: dict[int, Any] = {}  # what runs now, by the thread that waits for it
        self._machines: set[str] = set()
        self._closing = False
        self._retries = retries
        try:
            keep: Keep = keep_at(store) if store else StoredBundle.keep
            sending = not shared and not local
            self._packer = Packer(
                Shipment(keep) if sending else None, user_path(shared).resolve() if shared else None
            )
            total = ray.cluster_resources()
            self.gpus = math.ceil(min(1, total.get("GPU", 0)) if gpus is None else gpus)
            asked = {"CPU": cpus, "GPU": self.gpus if gpus is None else gpus}
            self._lack = _lack(asked)
            if local and self._lack:
                raise UserError(f"--executor ray: this machine has not got {self._lack}")
        except BaseException:
            self._leave()
            raise
        home = ray.get_runtime_context().get_node_id()
        self._setting = Setting(home, uuid.uuid4().hex, cpus)
        self._folder = os.path.abspath(os.curdir)  # noqa: PTH100 - as Ray names it
        ray.cloudpickle.register_pickle_by_value(by_value)
        self._task = ray.remote(
            num_cpus=asked["CPU"], num_gpus=asked["GPU"], max_retries=0, num_returns="streaming"
        )(by_value.task)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call `fn` on the cluster. There are no keywords."""
        assert not kwargs, "jobs have no keywords"
        return super().submit(self._ask, fn, args)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Wait for the jobs or, with `cancel_futures`, end them; then leave the cluster."""
        if cancel_futures or not wait:
            self._closing = True
            super().shutdown(wait=False, cancel_futures=True)
            for stream in list(self._started.values()):
                ray.cancel(stream, force=True)
        super().shutdown(wait=True)
        self._closing = True
        self._leave()

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        """Leave the cluster; after an error without waiting for what runs."""
        self.shutdown(cancel_futures=kind is not None)

    def _leave(self) -> None:
        if not ray.is_initialized():
            return
        machines, self._machines = self._machines, set()
        with contextlib.suppress(Exception):  # a machine that is gone has forgotten
            on = [NodeAffinitySchedulingStrategy(machine, soft=False) for machine in machines]
            clean = ray.remote(num_cpus=0, max_retries=0)(forget)
            done = [clean.options(scheduling_strategy=one).remote(self._setting) for one in on]
            ray.wait(done, num_returns=len(done), timeout=_FAREWELL)
        if self._ours:
            ray.shutdown()

    def _ask(self, fn: Callable[..., T], args: Sequence[Any]) -> T:
        shown = next((arg for arg in args if isinstance(arg, Progress)), QuietProgress())
        name = next((arg.name for arg in args if isinstance(arg, Job)), fn.__name__.strip("_"))
        if self._lack:
            shown.say(f"{name}: no machine of the cluster has {self._lack} now; it waits for one")
        parcel = self._packer.pack(fn, args)
        for again in range(1, self._retries + 2):
            try:
                return self._once(parcel, RelayedTasks(shown, name))  # type: ignore[no-any-return]
            except RayTaskError as error:  # before `serve`: what is installed there
                raise PluginError(f"a worker of the cluster: {error.cause!r}") from error
            except LOST as error:
                why = _brief(error)
                if self._closing or again > self._retries:
                    raise LostWorkerError(f"{why}, {again} times" if again > 1 else why) from error
                shown.say(f"{name}: {why}; begun again ({again} of {self._retries})")
        raise AssertionError

    def _once(self, parcel: Any, tasks: RelayedTasks) -> Any:
        stream = self._task.remote(self._folder, parcel, self._setting)
        self._started[id(stream)] = stream
        if self._closing:
            ray.cancel(stream, force=True)
        with contextlib.closing(tasks):
            try:
                for message in stream:
                    kind, *facts = pickle.loads(ray.get(message))  # noqa: S301 - from `serve`
                    if kind == "returned":
                        return facts[0]
                    if kind == "raised":
                        raise facts[0]
                    if kind == "began":
                        self._machines.update({facts[0]} - {self._setting.home})
                    else:
                        tasks.hear(kind, *facts)
            finally:
                del self._started[id(stream)]
        raise WorkerCrashedError


def _connect(address: str) -> tuple[bool, bool]:
    """Return whether this connected to Ray, and whether it started it. Raises `UserError`."""
    if address.startswith("ray://"):
        raise UserError(
            f"--executor ray@address={address}: a client outside of the cluster cannot follow its "
            "jobs; start this on one of its machines, with address=auto"
        )
    if ray.is_initialized():
        own = ray.get_runtime_context().gcs_address
        if address not in ("", "auto", own):
            raise UserError(f"--executor ray@address={address}: Ray is connected to {own} already")
        return False, False
    _check_reachable(address)
    os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")  # of answers that nobody waits for
    how: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if not address or address == "local":
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        how |= {"num_cpus": default_workers(), "include_dashboard": False}
    try:
        ray.init(address=address or "local", **how)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UserError(f"--executor ray: {_brief(error)}") from error
    return True, "num_cpus" in how


def _check_reachable(address: str) -> None:
    """Raise `UserError` where nothing answers at `host:port`."""
    host, _, port = address.rpartition(":")
    if not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _REACH).close()
    except (OSError, OverflowError) as error:
        raise UserError(
            f"--executor ray@address={address}: {error}; take the address that "
            "`ray start --head` printed"
        ) from None


def _lack(asked: dict[str, float]) -> str:
    """Say what no machine of the cluster has together; empty where one has it."""
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if any(all(has.get(name, 0) >= n for name, n in asked.items()) for has in machines):
        return ""
    return " and ".join(f"{n:g} {name}s" for name, n in asked.items() if n)


def _brief(error: BaseException) -> str:
    """Return the first sentence of what Ray says."""
    return " ".join(str(error).split()).partition(". ")[0].rstrip(".")
