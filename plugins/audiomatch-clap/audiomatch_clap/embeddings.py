"""Embeddings of many clips and texts; those of frozen towers are kept in the cache."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from audiomatch_torch import Compute, predict
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from audiomatch.cache import ArrayCache
from audiomatch.clips import Clips
from audiomatch.running.identity import computed_by
from audiomatch_clap.features import Mels, settings
from audiomatch_clap.text import padded
from audiomatch_clap.towers import ClapTowers

PIECE = 256  # embeddings that an interrupt may lose
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
    compute = pairs.compute
    cache = None
    if digest:
        device = [compute.device.type, compute.precision]
        version = [computed_by(__name__), digest, settings(pairs.towers.extractor), device]
        cache = ArrayCache(compute.run, "clap", version)
    ones = np.ones(len(pairs.ids))
    audio = [f"audio {key}" for key in pairs.mels.clips.digests]
    texts = [f"text {hashlib.sha256(ids.tobytes()).hexdigest()}" for ids in pairs.ids]
    return (
        _embed(pairs.audio, audio, ones, compute, cache, "audio"),
        _embed(pairs.texts, texts, pairs.text_lengths(), compute, cache, "texts"),
    )


def _embed(
    numbers: Callable[[Rows], Tensor],
    keys: Sequence[str],
    lengths: NDArray[np.float64],
    compute: Compute,
    cache: ArrayCache | None,
    label: str,
) -> Tensor:
    # Kernels differ in the last digit by batch size. A CPU loses little by taking one at a time,
    # and then numbers are the same to the bit whatever else is asked for.
    capacity = 1 if compute.device.type == "cpu" else None

    def vectors(positions: list[int]) -> NDArray[np.float32]:
        rows = np.array(positions, dtype=np.int64)
        found = predict(
            lambda chosen: numbers(rows[chosen]),
            lengths[rows],
            compute,
            capacity=capacity,
            label=label,
        )
        return found.astype(np.float32)

    def in_pieces(positions: list[int]) -> Iterator[NDArray[np.float32]]:
        for start in range(0, len(positions), PIECE):
            yield from vectors(positions[start : start + PIECE])

    if cache is not None:
        return torch.from_numpy(np.stack(cache.fill(keys, in_pieces)))
    first = {key: i for i, key in reversed(list(enumerate(keys)))}
    place = {key: at for at, key in enumerate(first)}
    return torch.from_numpy(vectors(list(first.values()))[[place[key] for key in keys]])
