"""What a frozen encoder says is kept on the disk: its size is not that of memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from audiomatch_torch import Compute, encode_once

from audiomatch import Run


def own_memory() -> int:
    """Return the resident bytes that no file backs."""
    facts = psutil.Process().memory_info()
    return int(facts.rss - facts.shared)


@pytest.mark.parametrize("dtype", [torch.float32, torch.half, torch.bfloat16])
def test_each_row_has_the_state_that_the_encoder_gave(tmp_path: Path, dtype: torch.dtype) -> None:
    compute = Compute(Run(cache=tmp_path / "cache"))
    x = torch.randn(9, 4)
    lengths = np.array([1.0, 2.0, 1.0, 3.0, 3.0, 2.0, 1.0, 1.0, 3.0])

    def encode(rows: np.ndarray) -> list[torch.Tensor]:
        return [x[row].repeat(int(lengths[row]), 1) for row in rows]

    kept = encode_once(encode, lengths, compute, dtype=dtype, mixed=True)
    for row in range(9):
        assert torch.equal(kept[row], x[row].repeat(int(lengths[row]), 1).to(dtype))
    stacked = kept.stack(np.array([8, 3]))
    assert stacked.shape == (2, 3, 4) and stacked.dtype == torch.float32
    assert list((tmp_path / "cache").iterdir()) == []


def test_many_states_take_no_memory(tmp_path: Path) -> None:
    rows, width = 200, 2**18  # a megabyte a row
    compute = Compute(Run(cache=tmp_path / "cache"))
    before = own_memory()
    kept = encode_once(
        lambda rows: torch.full((len(rows), width), float(rows[0])),
        np.ones(rows),
        compute,
        capacity=4,
    )
    assert own_memory() - before < 80 * 2**20
    assert kept[rows - 1].shape == (width,)


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    compute = Compute(Run(cache=tmp_path / "file" / "cache"))
    assert encode_once(lambda rows: torch.ones(len(rows), 2), np.ones(3), compute)[2].tolist() == [
        1,
        1,
    ]
