"""Ranks: processes that fit one model together, each on a device of its own.

All do the same work in the same order. Of each batch a rank computes a share of the rows; the
gradients are summed over ranks, so that a step is the one that a single process would take.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed, nn

from audiomatch.errors import PluginError
from audiomatch_torch.batches import Lengths, Rows
from audiomatch_torch.randomness import seed_everything

PATIENCE = timedelta(days=1)  # whoever started the ranks ends them where one is lost
_LOOPBACK = {"linux": "lo", "darwin": "lo0"}.get(sys.platform)


class LeftAloneError(PluginError):
    """A rank that another one did not answer; why is known to whoever started them."""


@dataclass(frozen=True)
class Ranks:
    """The ranks of a fit, as one of them sees them; one alone by default.

    Attributes:
        devices: of each rank, as `Run.device` names it; empty for one alone.
        rank: which one this is; 0 writes files and shows progress.
    """

    devices: tuple[str, ...] = ()
    rank: int = 0

    @property
    def count(self) -> int:
        """How many there are."""
        return max(1, len(self.devices))

    def share(self, rows: Rows, lengths: Lengths) -> Rows:
        """Return those of `rows` that this rank computes: in sum as long as any other's."""
        if self.count == 1:
            return rows
        return rows[np.argsort(-lengths[rows], kind="stable")][self.rank :: self.count]

    def gather(self, numbers: Sequence[float]) -> NDArray[np.float64]:
        """Return the numbers of all ranks, (ranks, numbers)."""
        own = torch.tensor(numbers, dtype=torch.float64)
        if self.count == 1:
            return own[None].numpy()
        found = [torch.empty_like(own) for _ in self.devices]
        with _answered():
            distributed.all_gather(found, own)
        return torch.stack(found).numpy()

    def gather_objects(self, own: Any) -> list[Any]:
        """Return what each rank gives, in order."""
        if self.count == 1:
            return [own]
        found: list[Any] = [None] * self.count
        with _answered():
            distributed.all_gather_object(found, own)
        return found

    def add_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Put the sum over ranks in the place of each gradient; one that no rank has stays None."""
        if self.count == 1:
            return
        known = self.gather([parameter.grad is not None for parameter in parameters])
        own: list[Tensor] = []
        for parameter, one in zip(parameters, known.max(axis=0), strict=True):
            if one and parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            if parameter.grad is not None:
                own.append(parameter.grad)
        self._each(own, lambda tensor: distributed.all_reduce(tensor, async_op=True))

    def align(self, tensors: Iterable[Tensor]) -> None:
        """Give all ranks the tensors of rank 0."""
        if self.count > 1:
            self._each(tensors, lambda tensor: distributed.broadcast(tensor, 0, async_op=True))

    @torch.no_grad()
    def _each(self, tensors: Iterable[Tensor], start: Callable[[Tensor], Any]) -> None:
        """Change each tensor by what `start` starts, which takes contiguous ones."""
        with _answered():
            begun = [(own, flat := own.detach().contiguous(), start(flat)) for own in tensors]
            for own, flat, work in begun:
                work.wait()
                own.copy_(flat)  # nothing where both are one

    def reseed(self, *numbers: int, alike: bool = False) -> None:
        """Seed the generators by these numbers, and differently in each rank unless `alike`."""
        if self.count > 1:
            entropy = [*numbers, self.count if alike else self.rank]
            seed_everything(int(np.random.SeedSequence(entropy).generate_state(1)[0]))

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """Run the block in rank 0, then in the others, which see what it has left on the disk."""
        if self.rank:
            self.gather([0])
        yield
        if not self.rank:
            self.gather([0])
        self.gather([0])


@contextmanager
def _answered() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise LeftAloneError(f"another rank gave no answer ({error})") from error


_ALONE = Ranks()
_CURRENT = ContextVar("ranks", default=_ALONE)


def current_ranks() -> Ranks:
    """Return the ranks that this process is one of."""
    return _CURRENT.get()


@contextmanager
def joined(ranks: Ranks, device: str, folder: Path) -> Iterator[None]:
    """Make this process one of `ranks`, which meet in `folder`, on this machine alone."""
    if _LOOPBACK:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", _LOOPBACK)
        os.environ.setdefault("NCCL_SOCKET_IFNAME", _LOOPBACK)
    on_gpu = device.startswith("cuda")
    if on_gpu:
        torch.cuda.set_device(device)
    with _answered():
        distributed.init_process_group(
            "cpu:gloo,cuda:nccl" if on_gpu else "gloo",
            init_method=(folder / "ranks").as_uri(),
            rank=ranks.rank,
            world_size=ranks.count,
            timeout=PATIENCE,
        )
    token = _CURRENT.set(ranks)
    yield  # after an error others wait for this one until they are ended: by then the cause is told
    ranks.gather([0])
    _CURRENT.reset(token)
    distributed.destroy_process_group()
