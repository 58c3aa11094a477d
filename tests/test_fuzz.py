"""Damaged inputs of each kind, from fixed seeds: refused in one line or read, and nothing else.

`benchmarks/fuzz.py` reads many more.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from audiomatch import UserError
from benchmarks.fuzzing import kinds
from benchmarks.fuzzing.kinds import Kind

pytestmark = [
    pytest.mark.plugins,
    pytest.mark.filterwarnings("ignore"),  # what is said of odd data
]
INPUTS = {
    kinds.recordings: 300, kinds.tables: 100, kinds.layouts: 40, kinds.specs: 100,
    kinds.records: 25, kinds.caches: 25,
}  # fmt: skip


@pytest.mark.parametrize("maker", INPUTS, ids=lambda maker: maker.__name__)
def test_damage_is_refused_in_one_line_or_read(
    maker: Callable[[Path], list[Kind]], tmp_path: Path
) -> None:
    for kind in maker(tmp_path):
        for seed in range(INPUTS[maker]):
            made = kind.make(random.Random(f"{kind.name} {seed}"))
            try:
                kind.read(made)
            except UserError as error:
                assert len(str(error).splitlines()) <= 1, (kind.name, seed)
                assert len(str(error)) < 2_200, (kind.name, seed)
            except Exception as error:
                error.add_note(f"{kind.name}, seed {seed}")
                raise
