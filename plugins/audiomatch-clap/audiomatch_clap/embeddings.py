"""Embeddings of many clips and texts; those of frozen towers are kept in the cache."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from audiomatch_torch import Compute, predict
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from audiomatch.clips import Clips
from audiomatch_clap.features import Mels, extractor_digest, place_in, save_array
from audiomatch_clap.text import padded
from audiomatch_clap.towers import ClapTowers

Rows = NDArray[np.int64]


class Pairs:
    """Clips and their texts, as embeddings on the device."""

    def __init__(self, towers: ClapTowers, clips: Clips, compute: Compute) -> None:
        """Encode the texts; spectrograms are computed when asked for."""
        self.towers, self.compute = towers, compute
        self.mels = Mels(clips, towers.extractor, compute.run)
        self.ids = towers.text.encode(clips, towers.most_tokens)

    def audio(self, rows: Rows) -> Tensor:
        """Embed the clips: (rows, width). A clip is the mean of its crops, of length 1 again."""
        own = [torch.from_numpy(self.mels[int(i)]) for i in rows]
        counts = [len(mel) for mel in own]
        each = self.towers.audio(torch.cat(own).to(self.compute.device))
        means = torch.stack([part.mean(0) for part in torch.split(each, counts)])
        return functional.normalize(means, dim=-1)

    def texts(self, rows: Rows) -> Tensor:
        """Embed the texts: (rows, width)."""
        ids = self.towers.text.stack([self.ids[i] for i in rows])
        return self.towers.texts(torch.from_numpy(ids).to(self.compute.device))

    def both(self, rows: Rows) -> tuple[Tensor, Tensor]:
        """Embed clips and texts."""
        return self.audio(rows), self.texts(rows)

    def text_lengths(self) -> NDArray[np.float64]:
        """Padded tokens of every text."""
        return np.array([padded(ids) for ids in self.ids], dtype=np.float64)


def embed(pairs: Pairs, digest: str) -> tuple[Tensor, Tensor]:
    """Return the embeddings of all clips and of all texts on the CPU, (n, width) each.

    Equal audio and equal texts are embedded once. With a `digest` of the towers, what was embedded
    is kept in `run.cache` for other folds and runs.
    """
    compute, run = pairs.compute, pairs.compute.run
    kind = f"{digest}-{extractor_digest(pairs.towers.extractor)}"
    kind += f"-{compute.device.type}-{compute.precision}"
    folder = run.cache / "clap" / hashlib.sha256(kind.encode()).hexdigest()[:32] if digest else None
    # Kernels differ in the last digit by batch size. A CPU loses little by taking one at a time,
    # and then numbers are the same to the bit whatever else is asked for.
    capacity = 1 if compute.device.type == "cpu" else None
    texts = [hashlib.sha256(ids.tobytes()).hexdigest() for ids in pairs.ids]
    # A clip that cannot be read has no digest; to ask for it says what is wrong.
    sounds = [key or f"unreadable {i}" for i, key in enumerate(pairs.mels.content)]
    ones = np.ones(len(sounds))
    tokens = pairs.text_lengths()
    own = (compute, capacity)
    return (
        _embed(pairs.audio, sounds, ones, folder and folder / "audio", *own, "audio"),
        _embed(pairs.texts, texts, tokens, folder and folder / "text", *own, "texts"),
    )


def _embed(
    numbers: Callable[[Rows], Tensor],
    keys: Sequence[str],
    lengths: NDArray[np.float64],
    folder: Path | None,
    compute: Compute,
    capacity: float | None,
    label: str,
) -> Tensor:
    known: dict[str, NDArray[np.float32]] = {}
    missing: dict[str, int] = {}
    for i, key in enumerate(keys):
        if key in known or key in missing:
            continue
        place = place_in(folder, key) if folder else None
        if place is not None and place.is_file():
            known[key] = np.load(place)
        else:
            missing[key] = i
    rows = np.array(list(missing.values()), dtype=np.int64)
    found = predict(
        lambda chosen: numbers(rows[chosen]),
        lengths[rows],
        compute,
        capacity=capacity,
        label=label,
    )
    for key, vector in zip(missing, found.astype(np.float32), strict=True):
        known[key] = vector
        if folder is not None:
            save_array(place_in(folder, key), vector)
    return torch.from_numpy(np.stack([known[key] for key in keys]))
