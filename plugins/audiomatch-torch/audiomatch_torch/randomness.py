"""The global generators of random numbers: Python's, NumPy's and torch's."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch on every device."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - libraries draw from it
    torch.manual_seed(seed)


@dataclass(frozen=True)
class RandomState:
    """Where the global generators stand, to put them back there."""

    of_python: tuple[Any, ...]
    of_numpy: dict[str, Any]
    of_torch: Tensor
    of_cuda: Tensor | None
    device: torch.device

    @classmethod
    def now(cls, device: torch.device) -> RandomState:
        """Take the state of the generators, of GPUs that of `device` only."""
        cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
        numpy: Any = np.random.get_state(legacy=False)  # noqa: NPY002 - libraries draw from it
        return cls(random.getstate(), numpy, torch.get_rng_state(), cuda, device)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON; `from_json` reads it."""
        numpy = self.of_numpy["state"]
        return {
            "python": self.of_python,
            "numpy": {**self.of_numpy, "state": {**numpy, "key": numpy["key"].tolist()}},
            "torch": self.of_torch.tolist(),
            "cuda": None if self.of_cuda is None else self.of_cuda.tolist(),
        }

    @classmethod
    def from_json(cls, content: dict[str, Any], device: torch.device) -> RandomState:
        """Read what `to_json` gave."""
        version, key, gauss = content["python"]
        state = content["numpy"]["state"]
        state = {**state, "key": np.array(state["key"], dtype=np.uint32)}
        cuda = content["cuda"]
        return cls(
            (version, tuple(key), gauss),
            {**content["numpy"], "state": state},
            torch.tensor(content["torch"], dtype=torch.uint8),
            None if cuda is None else torch.tensor(cuda, dtype=torch.uint8),
            device,
        )

    def restore(self) -> None:
        """Put the generators back."""
        random.setstate(self.of_python)
        np.random.set_state(self.of_numpy)  # noqa: NPY002 - libraries draw from it
        torch.set_rng_state(self.of_torch)
        if self.of_cuda is not None:
            torch.cuda.set_rng_state(self.of_cuda, self.device)
