import random

import numpy as np
import pytest
import torch
from audiomatch_torch import Compute

from audiomatch import Run
from audiomatch.errors import UserError

without_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")


def test_seed_covers_python_numpy_and_torch(tmp_path):
    def draw(seed):
        Compute(Run(cache=tmp_path, seed=seed))
        return random.random(), float(np.random.rand()), float(torch.rand(1))

    assert draw(3) == draw(3)
    assert all(a != b for a, b in zip(draw(3), draw(4), strict=True))


def test_auto_is_fp32_on_a_cpu_and_bf16_is_there_when_asked_for(tmp_path):
    assert Compute(Run(cache=tmp_path)).precision == "fp32"
    compute = Compute(Run(cache=tmp_path, precision="bf16"))
    with compute.autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
    with Compute(Run(cache=tmp_path)).autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


def test_the_callers_threads_and_random_numbers_are_back_afterwards(tmp_path):
    before = torch.get_num_threads()
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    wanted = random.random(), np.random.rand(), float(torch.rand(1))
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    with Compute(Run(cache=tmp_path, workers=before + 1)):
        assert torch.get_num_threads() == before + 1
        random.random(), np.random.rand(), torch.rand(1)
    assert torch.get_num_threads() == before
    assert (random.random(), np.random.rand(), float(torch.rand(1))) == wanted


def test_casts_of_a_pass_without_gradients_are_not_kept_for_one_with_them(tmp_path):
    compute = Compute(Run(cache=tmp_path, precision="bf16"))
    layer = torch.nn.Linear(2, 2)
    with compute.autocast():
        assert not torch.is_autocast_cache_enabled()
        with torch.no_grad(), compute.autocast():
            layer(torch.ones(1, 2))
        layer(torch.ones(1, 2)).sum().backward()
    assert layer.weight.grad is not None
    with torch.inference_mode(), compute.autocast():
        assert torch.is_autocast_cache_enabled()


def test_capacity_is_what_was_asked_for_else_the_devices_own(tmp_path):
    compute = Compute(Run(cache=tmp_path))
    assert compute.capacity(7.0) == 7.0
    assert compute.capacity(None, cpu=60.0, gpu=1920.0) == 60.0
    compute.device = torch.device("cuda")
    assert compute.capacity(None, cpu=60.0, gpu=1920.0) == 1920.0
    assert compute.capacity(None) is None


@pytest.mark.parametrize(("native", "auto"), [(True, "bf16"), (False, "fp16")])
def test_bf16_is_taken_only_where_a_gpu_computes_it_natively(monkeypatch, native, auto):
    """A T4 or V100 emulates it: `is_bf16_supported()` is true there, several times as slow."""
    from audiomatch_torch.compute import _precision

    def supported(including_emulation=True):
        return including_emulation or native

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    cuda = torch.device("cuda", 0)
    assert _precision("auto", cuda) == auto
    assert _precision("fp32", cuda) == "fp32"
    if native:
        assert _precision("bf16", cuda) == "bf16"
        return
    with pytest.raises(UserError, match="only emulates it, slowly; take fp16 or fp32"):
        _precision("bf16", cuda)


@without_cuda
@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_cuda_without_cuda_says_what_would_be_right(tmp_path, device):
    with pytest.raises(UserError, match=rf"device '{device}'.*take cpu"):
        Compute(Run(cache=tmp_path, device=device))


@pytest.mark.parametrize("device", ["gpu", "meta"])
def test_unknown_device_is_refused(tmp_path, device):
    with pytest.raises(UserError, match=rf"device '{device}'.*take cpu, cuda, cuda:N or mps"):
        Compute(Run(cache=tmp_path, device=device))


def test_fp16_on_a_cpu_is_refused(tmp_path):
    with pytest.raises(UserError, match="fp16 needs a GPU"):
        Compute(Run(cache=tmp_path, precision="fp16"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_peak_memory_is_noted(tmp_path):
    run = Run(cache=tmp_path, device="cuda")
    compute = Compute(run)
    with compute.deterministic():
        torch.ones(1_000_000, device=compute.device)
    assert run.notes["peak_gpu_memory_mb"] >= 4
