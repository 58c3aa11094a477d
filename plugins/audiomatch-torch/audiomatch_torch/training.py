"""The one training loop."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from audiomatch.matcher import Run
from audiomatch_torch.averaging import Average, trainable
from audiomatch_torch.batches import Lengths, Rows, by_length, shuffled
from audiomatch_torch.compute import Compute
from audiomatch_torch.memory_limit import MemoryLimit, out_of_memory
from audiomatch_torch.randomness import RandomState
from audiomatch_torch.resuming import RECENT, Keeper, LoopState, Position, Stateful
from audiomatch_torch.transfer import to_device


@dataclass(frozen=True)
class TrainOptions:
    """How `train` trains.

    Attributes:
        epochs: passes over the rows; 0 trains nothing.
        batch_size: rows an optimiser step, whatever fits in memory at once.
        lr: AdamW's peak learning rate, for parameter groups that name none.
        head_lr: that of what `train` is told is a head; `lr` where None.
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
    head_lr: float | None = None
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
    *,
    head: Iterable[nn.Parameter] = (),
    groups: Iterable[dict[str, Any]] | None = None,
    before_epoch: Callable[[int], None] | None = None,
    after_epoch: Callable[[int], None] | None = None,
    memory: Stateful | None = None,
    label: str = "train",
) -> None:
    """Train `model` in place with AdamW on the mean of `losses`.

    A batch is computed in pieces, of one padded length (`lengths`, shape (n,)) or mixed, and its
    gradients summed, so a step's loss is the batch's mean whatever the memory holds. Where memory
    runs out the pieces are halved and the batch is done again, with the same random numbers: those
    of the global generators are put back. What `losses` draws by a generator of its own it should
    draw by row and epoch (`before_epoch`), not by how often it was called.

    Ranks that fit together each compute a share of the rows of every batch. What the global
    generators give, as for dropout, is then decided by step and rank.

    Within `TorchMatcher.fit` the state is kept in a checkpoint every two minutes and at an
    interrupt, and the same fit goes on there, with the same numbers as one undisturbed.
    `before_epoch` is called anew for the epoch that goes on. With `after_epoch` there are
    checkpoints only where `memory` is given: pass an empty `torch.nn.Module` where there is none.
    The mean loss of up to 50 parts of the training is noted as `training_loss`, by `label`.

    Args:
        model: its parameters that require gradients are trained; it is left in `eval` mode.
        losses: gives the loss of each row asked for, a tensor of shape (rows,).
        lengths: the padded length of every row.
        options: see `TrainOptions`.
        compute: the device and precision.
        head: which of the parameters start anew and are trained at `head_lr`.
        groups: AdamW parameter groups where `head` and the others are not enough, each with
            `params` and perhaps its own `lr`.
        before_epoch: called with the number of the epoch that begins, counted from 1.
        after_epoch: called with the number of the epoch that is done; may leave `eval` mode on.
        memory: what `after_epoch` remembers from one epoch to the next, as tensors.
        label: names the task that is shown.

    Raises:
        UserError: where the loss stops being finite, or one row does not fit in memory.
    """
    run = compute.run
    steps = options.epochs * math.ceil(len(lengths) / options.batch_size)
    model.eval()
    if not steps:
        return
    parameters = list(groups or _groups(model, head, options))
    optimizer = compute.accelerator.prepare(
        torch.optim.AdamW(
            parameters,
            lr=options.lr,
            weight_decay=options.weight_decay,
            fused=compute.device.type in ("cpu", "cuda"),
        )
    )
    plain = getattr(optimizer, "optimizer", optimizer)
    warm = math.ceil(steps * options.warmup)
    schedule = torch.optim.lr_scheduler.LambdaLR(plain, lambda step: _linear(step, warm, steps))
    average = Average(model, math.ceil(steps * options.average_last))
    generator = np.random.default_rng(run.seed)
    draw = by_length if options.order == "length" else shuffled
    limit = MemoryLimit(options.capacity, options.mixed)
    state = LoopState(model, plain, schedule, average, limit, memory, compute, steps)
    decides = {"label": label, **asdict(options), "lengths": lengths.tolist()}
    keeper = Keeper(state, compute, decides, whole=after_epoch is None or memory is not None)
    with compute.ranks.in_turn():
        kept, at = keeper.read(), state.position
    try:
        if kept is not None and kept.facts["finished"]:
            state.restore_random(kept)
            return
        with (
            compute.deterministic(),
            run.progress.task(label, total=options.epochs * len(lengths)) as task,
            keeper.on_interrupt(steps, options.epochs),
        ):
            if kept is not None:
                run.progress.say(f"{label}: goes on after step {at.steps} of {steps}")
                run.note(resumed_after_step=at.steps)
            for epoch in range(at.epoch, options.epochs + 1):
                if kept is None:
                    at.enter(epoch, generator, RandomState.now(compute.device))
                else:
                    at.enter_again(generator)
                if before_epoch is not None:
                    before_epoch(epoch)
                model.train()
                batches = draw(lengths, options.batch_size, generator)
                if kept is not None:
                    state.restore_random(kept)
                    task.advance((epoch - 1) * len(lengths) + sum(map(len, batches[: at.batches])))
                    kept = None
                keeper.begin(steps, options.epochs)
                for batch in batches[at.batches :]:
                    compute.ranks.reseed(run.seed, at.steps)
                    loss = _accumulate(batch, losses, lengths, limit, compute, optimizer)
                    compute.ranks.add_gradients(state.trained)
                    state.moving()
                    if options.clip_norm is not None:
                        compute.accelerator.clip_grad_norm_(
                            list(trainable(model)), options.clip_norm
                        )
                    optimizer.step()
                    schedule.step()
                    at.step(loss)
                    average.update(left=steps - at.steps)
                    keeper.begin(steps, options.epochs)
                    if compute.device.type == "cpu" or at.steps % RECENT == 0:
                        at.read()  # which has a GPU wait
                    task.advance(len(batch), at.recent())
                at.read()
                state.moving()
                compute.ranks.align((*trainable(model), *model.buffers()))
                if after_epoch is not None:
                    after_epoch(epoch)
        compute.ranks.reseed(run.seed, at.steps, alike=True)
        average.apply()
        keeper.finish(label)
    finally:
        model.eval()
        optimizer.zero_grad()
        compute.accelerator.free_memory()
        _note(run, label, at, limit)


def binary_cross_entropy(
    logits: Callable[[Rows], Tensor], labels: NDArray[np.int8], compute: Compute
) -> Callable[[Rows], Tensor]:
    """Return the `losses` of `train` that say how far the logits of rows are from their labels.

    Args:
        logits: gives the logits of the rows asked for, (rows,).
        labels: 0 or 1 of every row, shape (n,).
        compute: the device.
    """
    wanted = to_device(torch.tensor(labels, dtype=torch.float32), compute.device)

    def losses(rows: Rows) -> Tensor:
        return functional.binary_cross_entropy_with_logits(
            logits(rows).float(), wanted[compute.index(rows)], reduction="none"
        )

    return losses


def _note(run: Run, label: str, at: Position, limit: MemoryLimit) -> None:
    """Keep with the results how the loss fell and how often memory ran out."""
    if limit.halvings:
        run.note(out_of_memory_halvings=limit.halvings)
    if at.losses:
        run.note(training_loss={**run.notes.get("training_loss", {}), label: at.curve()})


def _accumulate(
    batch: Rows,
    losses: Callable[[Rows], Tensor],
    lengths: Lengths,
    limit: MemoryLimit,
    compute: Compute,
    optimizer: Any,
) -> Tensor:
    """Leave the gradients of this rank's share of the batch's mean loss; return the whole loss.

    Where memory runs out in one rank, all do the batch again.
    """
    before = RandomState.now(compute.device)
    share = compute.ranks.share(batch, lengths)
    while True:
        optimizer.zero_grad()
        total = torch.zeros((), device=compute.device)
        failed = 0.0, np.inf
        for rows in limit.pieces(share, lengths):
            own = _backward(rows, losses, len(batch), compute)
            if own is None:
                failed = len(rows), float(lengths[rows].sum())
                break
            total = total + own
        if compute.ranks.count > 1:
            found = compute.ranks.gather([float(total), *failed])  # (ranks, 3)
            total = torch.tensor(found[:, 0].sum())
            _, *failed = found[found[:, 2].argmin()].tolist()
        count, length = failed
        if np.isinf(length):
            limit.grow()
            return total
        limit.shrink(int(count), length)
        before.restore()


def _backward(
    rows: Rows, losses: Callable[[Rows], Tensor], count: int, compute: Compute
) -> Tensor | None:
    """Add the gradients of the rows' share of the mean over `count` rows, and return that share.

    None where memory ran out. By then nothing refers to the failed pass: its tensors live in this
    frame and in the error's traceback, and both end here.
    """
    try:
        with compute.autocast():
            own = losses(rows)
        share = own.float().sum() / count
        compute.accelerator.backward(share)
        return share.detach()
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
        return None


def _groups(
    model: nn.Module, head: Iterable[nn.Parameter], options: TrainOptions
) -> list[dict[str, Any]]:
    own = [parameter for parameter in head if parameter.requires_grad]
    of_head = {id(parameter) for parameter in own}
    others = [parameter for parameter in trainable(model) if id(parameter) not in of_head]
    head_lr = options.lr if options.head_lr is None else options.head_lr
    groups: list[dict[str, Any]] = [{"params": others}, {"params": own, "lr": head_lr}]
    return [group for group in groups if group["params"]]


def _linear(step: int, warm: int, steps: int) -> float:
    if step < warm:
        return step / warm
    return max(0.0, (steps - step) / max(1, steps - warm))
