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


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU here")
def test_peak_memory_is_noted(tmp_path):
    run = Run(cache=tmp_path, device="cuda")
    compute = Compute(run)
    with compute.deterministic():
        torch.ones(1_000_000, device=compute.device)
    assert run.notes["peak_gpu_memory_mb"] >= 4
