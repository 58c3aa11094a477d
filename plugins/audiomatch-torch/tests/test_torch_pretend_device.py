"""The pretend device refuses what a GPU refuses, counts what it costs, and computes the same."""

from typing import NamedTuple

import numpy as np
import pytest
import torch
from audiomatch_torch import (
    Compute,
    TrainOptions,
    load_tensors,
    predict,
    save_tensors,
    to_device,
    train,
)
from audiomatch_torch.testing import PRETEND, parameters_without_gradient, pretend_device
from torch import nn

from audiomatch import Run
from audiomatch.errors import UserError


@pytest.fixture
def device():
    with pretend_device() as found:
        yield found


def test_it_refuses_to_meet_the_cpu(device):
    here, there = torch.ones(2, device=PRETEND), torch.ones(2)
    assert here.device.type == PRETEND
    for mix in (lambda: here + there, lambda: torch.cat([here, there]), lambda: there * here):
        with pytest.raises(RuntimeError, match="same device"):
            mix()
    assert (here * torch.tensor(2.0)).tolist() == [2.0, 2.0]  # numbers may come from anywhere
    with pytest.raises((TypeError, RuntimeError), match="numpy"):
        here.numpy()


def test_it_counts_copies_and_waits(device):
    x = torch.arange(6.0).to(PRETEND)
    assert (device.uploads, device.downloads, device.waits) == (1, 0, 0)
    x.cpu().numpy(), x.to("cpu")
    assert (device.uploads, device.downloads, device.waits) == (1, 2, 0)
    x.sum().item(), bool((x > 1).any()), x[x > 2]
    assert device.waits == 3
    y = x.view(2, 3)
    y += 1
    assert device.waits == 3
    assert x.tolist() == [1, 2, 3, 4, 5, 6]


class Some(NamedTuple):
    mask: torch.Tensor
    rest: object


def test_a_structure_moves_in_one_copy_that_is_not_waited_for(device):
    numbers, mask = torch.arange(5), torch.tensor([[True, False], [True, True]])
    given = (numbers, Some(mask.T, (torch.zeros(0, 3), numbers, np.ones(2), None)))
    found, (there, (none, again, array, nothing)) = to_device(given, torch.device(PRETEND))
    assert (device.uploads, device.synchronisations) == (1, 0)
    assert all(x.device.type == PRETEND for x in (found, there, none))
    assert found is again
    assert (found.tolist(), there.tolist()) == (numbers.tolist(), mask.T.tolist())
    assert (none.shape, there.dtype, array.tolist(), nothing) == ((0, 3), torch.bool, [1, 1], None)
    assert to_device(given, torch.device("cpu")) is given
    torch.ones(2).to(PRETEND)
    assert (device.uploads, device.blocking) == (2, 1)


def test_it_counts_what_computes_and_not_what_only_looks(device):
    x = to_device(torch.ones(2, 3), torch.device(PRETEND))
    device.launches = 0
    x.T[1:].detach()
    assert device.launches == 0
    x + (x * 2)
    assert device.launches == 2


def test_a_loss_that_is_not_finite_is_found_at_the_end_of_the_epoch(device, tmp_path):
    with Compute(Run(cache=tmp_path, device=PRETEND)) as compute:
        model = nn.Linear(1, 1).to(compute.device)
        given = to_device(torch.tensor([1.0, 1.0, np.nan, 1.0])[:, None], compute.device)
        with pytest.raises(UserError, match=r"loss is nan at step \d of 4; take a lower lr"):
            train(
                model,
                lambda rows: model(given[compute.index(rows)]).squeeze(1),
                np.ones(4),
                TrainOptions(epochs=1, batch_size=1, lr=0.1),
                compute,
            )


def trained(folder, name, device):
    """Train a small model with tied weights; return it, its predictions and what was counted."""
    with Compute(Run(cache=folder, device=name)) as compute:
        model = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.2), nn.Linear(3, 3), nn.LayerNorm(3))
        model[2].weight = model[0].weight
        model.to(compute.device)
        x = torch.randn(8, 3, generator=torch.Generator().manual_seed(1)).to(compute.device)
        options = TrainOptions(epochs=3, batch_size=4, lr=0.1, clip_norm=1.0, average_last=0.5)

        def numbers(rows):
            return model(x[compute.index(rows)]).square().sum(1)

        before = device.waits, device.downloads
        train(model, numbers, np.ones(8), options, compute)
        counted = np.subtract((device.waits, device.downloads), before)
        p = predict(numbers, np.ones(8), compute)
        first = predict(lambda rows: x[: len(rows)].sum(1), np.ones(8), compute)
    return model.cpu(), np.concatenate([p, first]), counted


def test_a_model_moves_trains_and_comes_back_with_its_ties(device, tmp_path):
    model, p, counted = trained(tmp_path, PRETEND, device)
    wanted, p_wanted, _ = trained(tmp_path, "cpu", device)
    assert model[2].weight is model[0].weight
    np.testing.assert_allclose(p, p_wanted, atol=1e-5)
    for one, other in zip(model.parameters(), wanted.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
    assert counted.tolist() == [0, 3]  # the losses of each epoch, and nothing else
    save_tensors(model.state_dict(), tmp_path / "m.safetensors")
    assert len(load_tensors(tmp_path / "m.safetensors")) == 5


def test_a_parameter_that_no_step_trains_is_found(tmp_path):
    model = nn.ModuleList([nn.Linear(2, 1), nn.Linear(2, 1)])
    run = Run(cache=tmp_path, precision="bf16")
    with Compute(run) as compute, parameters_without_gradient() as missing:
        train(
            model,
            lambda rows: model[0](torch.ones(len(rows), 2)).squeeze(1),
            np.ones(4),
            TrainOptions(epochs=2, batch_size=4, lr=0.1),
            compute,
        )
    assert {id(parameter) for parameter in missing} == {id(p) for p in model[1].parameters()}
