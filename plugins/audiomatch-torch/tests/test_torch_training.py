import random
import weakref
from contextlib import contextmanager
from itertools import pairwise

import numpy as np
import pytest
import torch
from audiomatch_torch import Compute, TrainOptions, by_length, chunks, predict, shuffled, train
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from audiomatch import Run
from audiomatch.errors import UserError

LENGTHS = np.array([1.0, 3.0, 1.0, 2.0, 3.0, 1.0, 2.0, 1.0, 1.0, 3.0])


def regression(n=10):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(n, 3, generator=generator)
    return x, x @ torch.tensor([1.0, -2.0, 0.5]) + 0.3


def fitted(tmp_path, options, out_of_memory_over=None, seed=0, after_epoch=None):
    run = Run(cache=tmp_path, seed=seed)
    compute = Compute(run)
    model = nn.Linear(3, 1)
    x, y = regression()
    calls = []

    def losses(rows):
        assert len(set(LENGTHS[rows])) == 1
        if out_of_memory_over is not None and len(rows) > out_of_memory_over:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB")
        calls.append(len(rows))
        return (model(x[rows]).squeeze(1) - y[rows]) ** 2

    train(model, losses, LENGTHS, options, compute, after_epoch=after_epoch)
    weights = torch.cat([p.detach().flatten() for p in model.parameters()])
    return weights, calls, run


def test_chunks_hold_one_length_within_capacity_and_every_row_once():
    rows = np.arange(10)
    pieces = chunks(rows, LENGTHS, capacity=4.0)
    assert sorted(np.concatenate(pieces)) == list(rows)
    assert LENGTHS[pieces[0][0]] == 3.0
    for piece in pieces:
        assert len(set(LENGTHS[piece])) == 1
        assert LENGTHS[piece].sum() <= 4.0


@given(
    lengths=st.lists(st.sampled_from([0.5, 1.0, 2.5]), min_size=1, max_size=20),
    capacity=st.floats(0.1, 20.0),
)
def test_mixed_chunks_come_longest_first_and_are_as_few_as_fit(lengths, capacity):
    lengths = np.array(lengths)
    pieces = chunks(np.arange(len(lengths)), lengths, capacity, mixed=True)
    drawn = np.concatenate(pieces)
    assert sorted(drawn) == list(range(len(lengths)))
    assert (np.diff(lengths[drawn]) <= 0).all()
    assert all(len(piece) == 1 or lengths[piece].sum() <= capacity for piece in pieces)
    for piece, following in pairwise(pieces):
        assert lengths[piece].sum() + lengths[following[0]] > capacity


def test_a_row_longer_than_the_capacity_goes_alone():
    assert [len(piece) for piece in chunks(np.array([1, 4]), LENGTHS, capacity=0.5)] == [1, 1]


def test_batches_by_length_are_alike_in_length_and_shuffled_by_the_seed():
    lengths = np.repeat(np.arange(10.0), 8)
    batches = by_length(lengths, 8, np.random.default_rng(0))
    assert all(np.ptp(lengths[batch]) == 0 for batch in batches)
    means = [lengths[batch].mean() for batch in batches]
    assert means != sorted(means)
    again = by_length(lengths, 8, np.random.default_rng(0))
    assert all((a == b).all() for a, b in zip(batches, again, strict=True))
    mixed = shuffled(lengths, 8, np.random.default_rng(0))
    assert any(np.ptp(lengths[batch]) > 0 for batch in mixed)
    assert sorted(np.concatenate(mixed)) == list(range(80))


def test_training_learns_and_the_seed_decides_the_numbers(tmp_path):
    options = TrainOptions(epochs=300, batch_size=5, lr=0.05)
    weights, _, _ = fitted(tmp_path, options)
    again, _, _ = fitted(tmp_path, options)
    other, _, _ = fitted(tmp_path, options, seed=1)
    torch.testing.assert_close(weights, torch.tensor([1.0, -2.0, 0.5, 0.3]), atol=0.01, rtol=0)
    assert torch.equal(weights, again)
    assert not torch.equal(weights, other)


def test_pieces_and_lack_of_memory_leave_the_result_alone(tmp_path):
    whole, calls, _ = fitted(tmp_path, TrainOptions(epochs=3, batch_size=10, lr=0.05))
    pieces, _, _ = fitted(tmp_path, TrainOptions(epochs=3, batch_size=10, lr=0.05, capacity=2.0))
    short, short_calls, run = fitted(
        tmp_path, TrainOptions(epochs=3, batch_size=10, lr=0.05), out_of_memory_over=2
    )
    assert max(calls) == 5
    assert max(short_calls) == 2
    assert run.notes["out_of_memory_halvings"] >= 1
    torch.testing.assert_close(whole, pieces, atol=1e-6, rtol=0)
    torch.testing.assert_close(whole, short, atol=1e-6, rtol=0)


class Failing:
    """A model with dropout whose losses run out of memory in the passes given by number."""

    def __init__(self, *failures):
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Linear(8, 1), nn.Dropout(0))
        self.failures, self.passes, self.sizes, self.drawn = set(failures), 0, [], []
        self.failed = lambda: None

    def losses(self, rows):
        self.passes += 1
        x, y = regression()
        hidden = self.model(x[rows]).squeeze(1)
        augmented = float(np.random.rand()) + random.random()
        if self.passes in self.failures:
            self.failed = weakref.ref(hidden)
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB")
        self.sizes.append(len(rows))
        self.drawn.append(augmented)
        return (hidden + augmented - y[rows]) ** 2

    def trained(self, tmp_path, epochs=1, capacity=None, **options):
        run = Run(cache=tmp_path)
        with Compute(run) as compute, gradients() as seen:
            options = TrainOptions(epochs, 10, lr=0.01, capacity=capacity, mixed=True, **options)
            train(self.model, self.losses, np.ones(10), options, compute)
        return seen


@contextmanager
def gradients():
    """Keep the gradients of every optimiser step."""
    seen = []

    def keep(optimizer, args, kwargs):
        seen.append([p.grad.clone() for group in optimizer.param_groups for p in group["params"]])

    hook = register_optimizer_step_pre_hook(keep)
    try:
        yield seen
    finally:
        hook.remove()


def test_a_batch_done_again_has_the_gradients_of_one_undisturbed(tmp_path):
    """Of one that was cut alike from the start: dropout is drawn by pass."""
    undisturbed, failing = Failing(), Failing(1)
    wanted = undisturbed.trained(tmp_path, capacity=5.0)
    again = failing.trained(tmp_path, capacity=10.0)
    assert failing.sizes == undisturbed.sizes == [5, 5]
    assert failing.drawn == undisturbed.drawn
    for one, other in zip(wanted[0], again[0], strict=True):
        assert torch.equal(one, other)


def test_memory_that_runs_out_half_way_through_a_batch_leaves_no_gradient(tmp_path):
    failing, undisturbed = Failing(2), Failing()
    again = failing.trained(tmp_path, capacity=5.0)  # fails with gradients of the first half
    wanted = undisturbed.trained(tmp_path, capacity=2.0)
    assert failing.sizes == [5, 2, 2, 2, 2, 2]
    for one, other in zip(wanted[0], again[0], strict=True):
        assert torch.equal(one, other)
    assert failing.drawn[1:] == undisturbed.drawn


def test_the_failed_pass_is_let_go_before_memory_is_freed(tmp_path, monkeypatch):
    failing, freed = Failing(2, 4), []
    monkeypatch.setattr(
        "accelerate.utils.memory.clear_device_cache",
        lambda **how: freed.append(failing.failed() is None),
    )
    failing.trained(tmp_path, capacity=5.0)
    assert len(freed) > 1 and all(freed)


def test_the_limit_grows_back_and_does_so_later_each_time(tmp_path):
    failing = Failing(1, 20)
    failing.trained(tmp_path, epochs=40)
    # 5 + 5 for eight batches, then 10 again; after the second failure twice as many.
    assert failing.sizes == [5] * 16 + [10] * 2 + [5] * 32 + [10] * 14


def test_a_single_row_too_many_is_one_line(tmp_path):
    with pytest.raises(UserError, match="single clip .* does not fit in memory"):
        fitted(tmp_path, TrainOptions(epochs=1, batch_size=4, lr=0.1), out_of_memory_over=0)


def test_other_errors_are_not_taken_for_lack_of_memory(tmp_path):
    run = Run(cache=tmp_path)

    def broken(rows):
        raise RuntimeError("shapes do not fit")

    options = TrainOptions(epochs=1, batch_size=4, lr=0.1)
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        train(nn.Linear(1, 1), broken, LENGTHS, options, Compute(run))
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        predict(broken, LENGTHS, Compute(run))


def test_schedule_warms_up_and_decays_linearly(tmp_path):
    # Adam's first step moves a weight by the learning rate, whatever the gradient.
    run = Run(cache=tmp_path)
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    seen = []
    train(
        model,
        lambda rows: -model(torch.ones(len(rows), 1)).squeeze(1),
        np.ones(10),
        TrainOptions(epochs=10, batch_size=10, lr=1.0, warmup=0.2),
        Compute(run),
        after_epoch=lambda epoch: seen.append(float(model.weight.detach())),
    )
    moved = np.diff([0.0, *seen])
    np.testing.assert_allclose(moved, [0, 0.5, 1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8],
                               atol=1e-5)  # fmt: skip


def test_weights_are_averaged_over_the_last_steps(tmp_path):
    run = Run(cache=tmp_path)
    model = nn.Linear(1, 1, bias=False)
    seen = []
    train(
        model,
        lambda rows: -model(torch.ones(len(rows), 1)).squeeze(1),
        np.ones(10),
        TrainOptions(epochs=10, batch_size=10, lr=1.0, average_last=0.3),
        Compute(run),
        after_epoch=lambda epoch: seen.append(float(model.weight.detach())),
    )
    assert float(model.weight.detach()) == pytest.approx(np.mean(seen[-3:]), abs=1e-5)


def test_a_loss_that_is_not_finite_is_one_line(tmp_path):
    run = Run(cache=tmp_path)
    model = nn.Linear(1, 1)
    options = TrainOptions(epochs=1, batch_size=4, lr=0.1)
    with pytest.raises(UserError, match="loss is nan at step 1 of 3; take a lower lr"):
        train(
            model,
            lambda rows: model(torch.full((len(rows), 1), torch.nan)).squeeze(1),
            LENGTHS, options, Compute(run),
        )  # fmt: skip


def test_no_epochs_leave_the_model_as_it_is(tmp_path):
    run = Run(cache=tmp_path)
    model = nn.Linear(1, 1)
    before = model.weight.clone()
    options = TrainOptions(epochs=0, batch_size=4, lr=0.1)
    train(model, lambda rows: model(torch.ones(1)), LENGTHS, options, Compute(run))
    assert torch.equal(before, model.weight)
    assert not model.training


def test_an_interrupt_comes_through_and_leaves_the_model_usable(tmp_path):
    def stop(epoch):
        raise KeyboardInterrupt

    before = torch.are_deterministic_algorithms_enabled()
    with pytest.raises(KeyboardInterrupt):
        fitted(tmp_path, TrainOptions(epochs=1, batch_size=4, lr=0.1), after_epoch=stop)
    assert torch.are_deterministic_algorithms_enabled() == before


def test_predictions_come_in_row_order_whatever_the_memory(tmp_path):
    run = Run(cache=tmp_path)
    compute = Compute(run)
    sizes = []

    def numbers(rows, most=99):
        if len(rows) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB")
        sizes.append(len(rows))
        return torch.tensor(rows * 2.0)

    np.testing.assert_array_equal(predict(numbers, LENGTHS, compute), np.arange(10) * 2.0)
    assert max(sizes) == 5
    sizes.clear()
    out = predict(lambda rows: numbers(rows, most=1), LENGTHS, compute)
    np.testing.assert_array_equal(out, np.arange(10) * 2.0)
    assert set(sizes) == {1}
    assert predict(numbers, np.zeros(0), compute).shape == (0,)
