"""Connectionist temporal classification (Graves et al., 2006) as a score of a given text.

With U characters, R of them equal to the one before, an alignment needs T >= U + R frames, and
there are N = C(T + U - R, 2U) of them. Each is a path, so none is likelier than the best free path:

    log p(text | audio) - log p(best free path) <= log N

The difference may be positive, where many middling alignments add up; it is not once the model is
sure of its frames. This is the forced against the free likelihood of the goodness of pronunciation
(Witt & Young, 2000), with the sum over alignments for the forced side.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

NAMES = ("score", "best path a frame", "log characters")
# Nats a character. A text that the frames cannot hold, and anything worse than this, is here.
FLOOR = -20.0

Ids = NDArray[np.int64]


def log_likelihood(
    log_probs: Tensor, texts: Sequence[Ids], frames: Tensor, blank: int
) -> tuple[Tensor, Tensor]:
    """Log of the summed probability of all alignments of each text: float64 on the CPU.

    CUDA's own CTC adds gradients up in no fixed order, so it is always computed on the CPU.

    Args:
        log_probs: (n, t, v), normalised over v.
        texts: n arrays of ids without `blank`; an empty one is the path of blanks.
        frames: how many of the t frames count, int64 (n,).
        blank: id of the blank.

    Returns:
        The log likelihood (n,), 0 with no gradient where there is no alignment, and a bool tensor
        (n,) that says where there is one.
    """
    own = log_probs.cpu().double().transpose(0, 1)
    counts = torch.tensor([len(text) for text in texts])
    repeats = torch.tensor([int((text[1:] == text[:-1]).sum()) for text in texts])
    padded = torch.zeros(len(texts), max(1, int(counts.max())), dtype=torch.int64)
    for row, text in zip(padded, texts, strict=True):
        row[: len(text)] = torch.from_numpy(text)
    loss = functional.ctc_loss(
        own, padded, frames.cpu(), counts, blank=blank, reduction="none", zero_infinity=True
    )
    return -loss, frames.cpu() >= counts + repeats


def best_path(log_probs: Tensor, frames: Tensor) -> Tensor:
    """Log probability of the likeliest path of any text: (n, t, v) to float64 (n,), on the CPU."""
    best = log_probs.cpu().double().amax(-1)
    inside = torch.arange(best.shape[1]) < frames.cpu()[:, None]
    return (best * inside).sum(1)


def evidence(
    log_probs: Tensor, texts: Sequence[Ids], frames: Tensor, blank: int
) -> tuple[Tensor, Tensor]:
    """What the head judges by, and CTC's loss; arguments as in `log_likelihood`.

    The score is the log likelihood of the text minus that of the best free path, divided by the
    number of characters: frames of silence cost neither side anything, so frames would dilute the
    error in a long clip. It is never under `FLOOR`. Only the score carries gradients.

    Returns:
        The numbers of `NAMES`, float64 (n, 3), all 0 where a text is empty, and the CTC loss in
        nats a character (n,), 0 where there is no alignment.
    """
    log_p, possible = log_likelihood(log_probs, texts, frames, blank)
    best = best_path(log_probs, frames)
    characters = torch.tensor([max(1, len(text)) for text in texts], dtype=torch.float64)
    score = torch.where(possible, (log_p - best) / characters, FLOOR).clamp(min=FLOOR)
    known = torch.tensor([len(text) > 0 for text in texts])
    rest = torch.stack([best.detach() / frames.cpu().clamp(min=1), characters.log()], dim=1)
    found = torch.cat([score[:, None], rest], dim=1)
    return torch.where(known[:, None], found, 0.0), -log_p / characters * known
