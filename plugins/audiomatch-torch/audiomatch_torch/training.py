"""The one training loop."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from audiomatch.errors import UserError
from audiomatch.matcher import Run
from audiomatch_torch.batches import Lengths, Rows, by_length, shuffled
from audiomatch_torch.compute import Compute
from audiomatch_torch.memory import Capacity


@dataclass(frozen=True)
class TrainOptions:
    """How `train` trains.

    Attributes:
        epochs: passes over the rows; 0 trains nothing.
        batch_size: rows an optimiser step, whatever fits in memory at once.
        lr: AdamW's peak learning rate, for parameter groups that name none.
        warmup: the fraction of all steps over which the rate rises from 0; it then falls linearly
            to 0.
        weight_decay: AdamW's decoupled decay.
        clip_norm: the largest gradient norm, None for no limit.
        average_last: the fraction of all steps, counted from the end, over whose weights the
            result is averaged; 0 keeps the last ones.
        order: `length` draws rows of like length together, `shuffle` does not look at length.
        capacity: the most padded length in one forward pass, None for a whole batch.
        mixed: whether rows of unequal length may share a pass.
    """

    epochs: int
    batch_size: int
    lr: float
    warmup: float = 0.0
    weight_decay: float = 0.0
    clip_norm: float | None = None
    average_last: float = 0.0
    order: Literal["length", "shuffle"] = "length"
    capacity: float | None = None
    mixed: bool = False


def train(
    model: nn.Module,
    losses: Callable[[Rows], Tensor],
    lengths: Lengths,
    options: TrainOptions,
    compute: Compute,
    run: Run,
    *,
    groups: Iterable[dict[str, Any]] | None = None,
    on_step: Callable[[int, float], None] | None = None,
    label: str = "train",
) -> None:
    """Train `model` in place with AdamW on the mean of `losses`.

    A batch is computed in pieces, of one padded length (`lengths`, shape (n,)) or mixed, and its
    gradients summed, so a step's loss is the batch's mean whatever the memory holds; where memory
    runs out the pieces are halved and the batch is done again.

    Args:
        model: its parameters that require gradients are trained; it is left in `eval` mode.
        losses: gives the loss of each row asked for, a tensor of shape (rows,).
        lengths: the padded length of every row.
        options: see `TrainOptions`.
        compute: the device and precision.
        run: for seed and progress.
        groups: AdamW parameter groups, each with `params` and perhaps its own `lr`; all trainable
            parameters where None.
        on_step: called after each step with the number of steps done and the batch's loss.
        label: names the task that is shown.

    Raises:
        UserError: where the loss stops being finite, or one row does not fit in memory.
    """
    steps = options.epochs * math.ceil(len(lengths) / options.batch_size)
    model.eval()
    if not steps:
        return
    parameters = list(groups) if groups is not None else list(_trainable(model))
    optimizer = compute.accelerator.prepare(
        torch.optim.AdamW(
            parameters,
            lr=options.lr,
            weight_decay=options.weight_decay,
            fused=compute.device.type != "mps",
        )
    )
    warm = math.ceil(steps * options.warmup)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        getattr(optimizer, "optimizer", optimizer), lambda step: _linear(step, warm, steps)
    )
    average = _Average(model, math.ceil(steps * options.average_last))
    generator = np.random.default_rng(run.seed)
    draw = by_length if options.order == "length" else shuffled
    capacity = Capacity(options.capacity, options.mixed)
    done = 0
    model.train()
    try:
        with (
            compute.deterministic(),
            run.progress.task(label, total=options.epochs * len(lengths)) as task,
        ):
            for _ in range(options.epochs):
                for batch in draw(lengths, options.batch_size, generator):
                    optimizer.zero_grad()
                    loss = _accumulate(batch, losses, lengths, capacity, compute, optimizer)
                    if not math.isfinite(loss):
                        raise UserError(
                            f"the training loss is {loss} at step {done + 1} of {steps}; "
                            "take a lower lr, or precision fp32"
                        )
                    if options.clip_norm is not None:
                        compute.accelerator.clip_grad_norm_(
                            list(_trainable(model)), options.clip_norm
                        )
                    optimizer.step()
                    schedule.step()
                    done += 1
                    average.update(left=steps - done)
                    task.advance(len(batch))
                    if on_step is not None:
                        on_step(done, loss)
        average.apply()
    finally:
        model.eval()
        optimizer.zero_grad()
        compute.accelerator.free_memory()
    if capacity.halvings:
        run.note(out_of_memory_halvings=capacity.halvings)


def _accumulate(
    batch: Rows,
    losses: Callable[[Rows], Tensor],
    lengths: Lengths,
    capacity: Capacity,
    compute: Compute,
    optimizer: Any,
) -> float:
    """Add up the gradients of the batch's mean loss and return that loss."""
    while True:
        total = 0.0
        rows = batch
        try:
            for rows in capacity.pieces(batch, lengths):
                with compute.autocast():
                    own = losses(rows)
                loss = own.float().sum() / len(batch)
                compute.accelerator.backward(loss)
                total += float(loss.detach())
            return total
        except RuntimeError as error:
            capacity.shrink(error, rows, lengths)
            optimizer.zero_grad()


def _trainable(model: nn.Module) -> Iterable[nn.Parameter]:
    return (p for p in model.parameters() if p.requires_grad)


def _linear(step: int, warm: int, steps: int) -> float:
    if step < warm:
        return step / warm
    return max(0.0, (steps - step) / max(1, steps - warm))


class _Average:
    """The mean of the trained weights over the last `span` steps (Izmailov et al., 2018)."""

    def __init__(self, model: nn.Module, span: int) -> None:
        self.model, self.span, self.count = model, span, 0
        self.means: list[Tensor] = []

    @torch.no_grad()
    def update(self, left: int) -> None:
        if left >= self.span:
            return
        now = [p.detach().float() for p in _trainable(self.model)]
        self.count += 1
        if not self.means:
            self.means = [weight.clone() for weight in now]
            return
        for mean, weight in zip(self.means, now, strict=True):
            mean += (weight - mean) / self.count

    @torch.no_grad()
    def apply(self) -> None:
        for parameter, mean in zip(_trainable(self.model), self.means, strict=bool(self.means)):
            parameter.copy_(mean)
