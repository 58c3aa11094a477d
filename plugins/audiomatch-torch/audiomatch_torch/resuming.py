"""All that a training loop changes, to be kept in a checkpoint and put back."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from audiomatch.errors import UserError
from audiomatch_torch.averaging import Average
from audiomatch_torch.checkpoints import Checkpoint
from audiomatch_torch.compute import Compute
from audiomatch_torch.memory_limit import MemoryLimit
from audiomatch_torch.randomness import RandomState

RECENT = 20  # steps whose mean loss is shown
POINTS = 50  # of the curve that is noted


class Stateful(Protocol):
    """What keeps its state as tensors by name, as a torch module does."""

    def state_dict(self) -> dict[str, Tensor]:
        """Return the state."""

    def load_state_dict(self, state_dict: dict[str, Tensor]) -> Any:
        """Take a state that `state_dict` gave."""


@dataclass
class Position:
    """Where a training loop stands.

    Attributes:
        epoch: counted from 1.
        batches: of the epoch that are done.
        steps: of all epochs that are done.
        losses: the mean loss of each step whose loss was read.
        total: steps of the whole loop.
        order: the generator that draws the epoch's batches, before it drew them.
        random: the global generators before the epoch.
    """

    epoch: int = 1
    batches: int = 0
    steps: int = 0
    losses: list[float] = field(default_factory=list)
    total: int = 0
    order: dict[str, Any] = field(default_factory=dict)
    random: RandomState | None = None
    _waiting: list[Tensor] = field(default_factory=list)

    def enter(self, epoch: int, order: np.random.Generator, random: RandomState) -> None:
        """Stand at the start of an epoch."""
        self.epoch, self.batches = epoch, 0
        self.order, self.random = dict(order.bit_generator.state), random

    def enter_again(self, order: np.random.Generator) -> None:
        """Put the generators where they were at the start of the epoch."""
        assert self.random is not None
        order.bit_generator.state = self.order
        self.random.restore()

    def step(self, loss: Tensor) -> None:
        """Count a step, and keep its loss where it is, until `read` is called."""
        self.batches += 1
        self.steps += 1
        self._waiting.append(loss)

    def read(self) -> None:
        """Read the losses that were kept; raises `UserError` where one of them is not finite."""
        losses = torch.stack(self._waiting).tolist() if self._waiting else []
        self._waiting.clear()
        for loss in losses:
            if not math.isfinite(loss):
                raise UserError(
                    f"the training loss is {loss} at step {len(self.losses) + 1} of {self.total}; "
                    "take a lower lr, or precision fp32"
                )
            self.losses.append(loss)

    def recent(self) -> str:
        """Say the mean loss of the last steps whose loss was read."""
        last = self.losses[-RECENT:]
        return f"loss {sum(last) / len(last):.3f}" if last else ""

    def curve(self) -> list[float]:
        """Return the losses so far, as means of at most `POINTS` parts of the training."""
        parts = np.array_split(np.array(self.losses), min(POINTS, len(self.losses)))
        return [float(f"{part.mean():.4g}") for part in parts]


@dataclass(frozen=True)
class _Moment:
    """What a forward pass changes, before it."""

    random: RandomState
    limit: dict[str, Any]
    buffers: dict[str, Tensor]


class LoopState:
    """The state of a loop: weights, optimiser, schedule, average, generators, position.

    Between `begin` and `moving` a batch's gradients are computed. What that changes (generators,
    buffers such as a batch norm's, the limit of memory) is known as it was at `begin`, so that
    `checkpoint` is whole at any time between the two.

    Attributes:
        position: where the loop stands.
        trained: the parameters that the optimiser has, or that require gradients.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LambdaLR,
        average: Average,
        limit: MemoryLimit,
        memory: Stateful | None,
        compute: Compute,
        steps: int,
    ) -> None:
        self.position = Position(total=steps)
        self._model, self._optimizer, self._schedule = model, optimizer, schedule
        self._average, self._limit, self._memory = average, limit, memory
        self._compute = compute
        grouped = chain.from_iterable(group["params"] for group in optimizer.param_groups)
        trained = (p for p in model.parameters() if p.requires_grad)
        self.trained = list({id(p): p for p in chain(grouped, trained)}.values())
        self._moment: _Moment | None = None

    def begin(self) -> None:
        """Remember what the gradients of a batch will change."""
        self._moment = _Moment(
            RandomState.now(self._compute.device),
            self._limit.to_json(),
            # A batch norm's do not tell by their version that they were written to.
            {name: buffer.clone() for name, buffer in self._model.named_buffers()},
        )

    def moving(self) -> None:
        """Say that the weights, or what `memory` holds, will change."""
        self._moment = None

    def checkpoint(self) -> Checkpoint | None:
        """Return the state before the batch at hand; None where there is none that is whole."""
        moment = self._moment
        if moment is None:
            return None
        at = self.position
        at.read()
        assert at.random is not None
        facts = {
            "finished": False,
            "epoch": at.epoch,
            "batches": at.batches,
            "steps": at.steps,
            "order": at.order,
            "epoch_random": at.random.to_json(),
            "random": moment.random.to_json(),
            "limit": moment.limit,
            "averaged": self._average.count,
            "schedule": self._schedule.state_dict(),
            "scaler": self._scaler_state(),
        }
        memory = {} if self._memory is None else self._memory.state_dict()
        return Checkpoint(
            {
                **self._weights(moment.buffers),
                **{
                    f"optimizer.{i}.{name}": value
                    for i, own in self._optimizer.state_dict()["state"].items()
                    for name, value in own.items()
                },
                **{f"average.{i}": mean for i, mean in enumerate(self._average.means)},
                **{f"memory.{name}": value for name, value in memory.items()},
                "losses": torch.tensor(at.losses, dtype=torch.float64),
            },
            facts,
        )

    def finished(self) -> Checkpoint:
        """Return the state after the loop: what is trained, what is remembered, the generators."""
        buffers = {k: b.clone() for k, b in self._model.named_buffers()}  # none shares memory
        memory = {} if self._memory is None else self._memory.state_dict()
        return Checkpoint(
            {
                **self._weights(buffers),
                **{f"memory.{name}": value for name, value in memory.items()},
                "losses": torch.tensor(self.position.losses, dtype=torch.float64),
            },
            {
                "finished": True,
                "random": RandomState.now(self._compute.device).to_json(),
                "limit": self._limit.to_json(),
            },
        )

    @torch.no_grad()
    def restore(self, kept: Checkpoint) -> None:
        """Put back what a checkpoint holds, but for the generators: see `restore_random`."""
        tensors, facts = kept.tensors, kept.facts
        for i, parameter in enumerate(self.trained):
            parameter.copy_(tensors[f"weight.{i}"])
        for name, buffer in self._model.named_buffers():
            buffer.copy_(tensors[f"buffer.{name}"])
        self._limit.restore(facts["limit"])
        if self._memory is not None:
            self._memory.load_state_dict(_under("memory.", tensors))
        at = self.position
        at.losses = tensors["losses"].tolist()
        if facts["finished"]:
            return
        at.epoch, at.batches, at.steps = facts["epoch"], facts["batches"], facts["steps"]
        at.order = facts["order"]
        at.random = RandomState.from_json(facts["epoch_random"], self._compute.device)
        self._restore_optimizer(_under("optimizer.", tensors), facts)
        means = _under("average.", tensors)
        self._average.count = facts["averaged"]
        self._average.means = [means[str(i)].to(self._compute.device) for i in range(len(means))]

    def _restore_optimizer(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            number, _, own = name.partition(".")
            state.setdefault(int(number), {})[own] = value
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": state, "param_groups": groups})
        self._schedule.load_state_dict(facts["schedule"])
        for group, lr in zip(
            self._optimizer.param_groups, self._schedule.get_last_lr(), strict=True
        ):
            group["lr"] = lr
        if facts["scaler"]:
            self._compute.accelerator.scaler.load_state_dict(facts["scaler"])

    def restore_random(self, kept: Checkpoint) -> None:
        """Put the global generators where they were."""
        RandomState.from_json(kept.facts["random"], self._compute.device).restore()

    def _weights(self, buffers: dict[str, Tensor]) -> dict[str, Tensor]:
        return {
            **{f"weight.{i}": p.detach() for i, p in enumerate(self.trained)},
            **{f"buffer.{name}": buffer for name, buffer in buffers.items()},
        }

    def _scaler_state(self) -> dict[str, Any]:
        scaler = self._compute.accelerator.scaler
        return {} if scaler is None else dict(scaler.state_dict())


class Keeper:
    """Keeps a loop's state in the checkpoints of its fit, where the loop has any."""

    def __init__(self, state: LoopState, compute: Compute, decides: Any, *, whole: bool) -> None:
        """Take the loop that `decides` decides; without `whole` its state is not all known."""
        self._state = state
        self._checkpoints = compute.checkpoints
        self._name = "" if self._checkpoints is None else self._checkpoints.loop(decides)
        if not whole:
            self._checkpoints = None

    def read(self) -> Checkpoint | None:
        """Return what an earlier process kept of the loop, and put the state there."""
        kept = None if self._checkpoints is None else self._checkpoints.read(self._name)
        if kept is not None:
            self._state.restore(kept)
        return kept

    def begin(self, steps: int, epochs: int) -> None:
        """Begin a batch; keep the state where that is due."""
        if self._checkpoints is None:
            return
        self._state.begin()
        if self._checkpoints.due:
            self._write(steps, epochs)

    def finish(self, label: str) -> None:
        """Keep the end of the loop where that is due: the fit goes on after it."""
        if self._checkpoints is not None and self._checkpoints.due:
            self._checkpoints.write(self._name, self._state.finished(), f"the end of {label!r}")

    @contextmanager
    def on_interrupt(self, steps: int, epochs: int) -> Iterator[None]:
        """Keep the state where an interrupt ends the block."""
        try:
            yield
        except KeyboardInterrupt:
            self._write(steps, epochs)
            raise

    def _write(self, steps: int, epochs: int) -> None:
        if self._checkpoints is None:
            return
        checkpoint, at = self._state.checkpoint(), self._state.position
        if checkpoint is not None:
            done = f"step {at.steps} of {steps} (epoch {at.epoch} of {epochs})"
            self._checkpoints.write(self._name, checkpoint, done)


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
