"""What is learned from and what is predicted: a fold of a repeat, or less of its training part.

The first repeat has the folds and the training seed of `--seed`. Each two repeats have the same
folds, trained from two seeds, so that what folds and what seeds do can be told apart. The n-th
further folds, and the n-th further training seed, are of NumPy's `SeedSequence` over (seed, n, 0)
and over (seed, n, 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from audiomatch.clips import Clips
from audiomatch.errors import UserError
from audiomatch.folds import Folds, dealt_again, nested_part
from audiomatch.intake import data_digest
from audiomatch.records import ALL
from audiomatch.records.training import draw_of

if TYPE_CHECKING:
    from audiomatch.probing.folds import FoldProbes


@dataclass(frozen=True, eq=False)
class Split:
    """One fold of a comparison, for all matchers alike.

    Attributes:
        folds: which clip is held out where.
        fold: which fold is held out.
        seed: of matchers, and of what part of the training part is taken.
        train_size: clips that are learned from; `ALL` of the training part, or 0 for a ready model.
        repeat: of the cross-validation.
        probes: what is planted in its matches, and predicted beside what is held out.
    """

    folds: Folds
    fold: int
    seed: int
    train_size: int = ALL
    repeat: int = 0
    probes: FoldProbes | None = None

    @property
    def place(self) -> tuple[int, int, int]:
        """What it is called among the others of a comparison."""
        return self.repeat, self.train_size, self.fold

    @property
    def parts(self) -> tuple[Clips, Clips]:
        """What is learned from, with labels, and what is held out, without."""
        train, held_out = self.folds.split(self.fold)
        if self.probes is not None:
            held_out = Clips.concat([held_out, self.probes.clips(self.fold).unlabelled()])
        if self.train_size == ALL:
            return train, held_out
        return train.take(nested_part(train, self.train_size, (self.seed, self.fold))), held_out

    @cached_property
    def digests(self) -> tuple[str, str]:
        """The SHA-256 of each part."""
        train, held_out = self.parts
        return data_digest(train), data_digest(held_out)


def whole_splits(folds: Folds, seed: int, repeats: int = 1) -> list[Split]:
    """Return each fold of each repeat, with the whole of its training part.

    Raises `UserError` where further repeats cannot be made.
    """
    if repeats > 1 and (folds.fixed or folds.negatives):
        option = folds.fixed or f"--negatives {','.join(folds.negatives)}"
        raise UserError(f"--repeats and {option} cannot go together: the folds are fixed by it")
    draws = range(1, draw_of(repeats - 1) + 1)
    deals = [folds, *(dealt_again(folds, _seed(seed, draw, 0)) for draw in draws)]
    return [
        Split(deals[draw_of(repeat)], fold, _seed(seed, repeat, 1), repeat=repeat)
        for repeat in range(repeats)
        for fold in range(folds.k)
    ]


def _seed(seed: int, number: int, purpose: int) -> int:
    """Return the seed itself for number 0, and one drawn from it for the others."""
    drawn = np.random.SeedSequence((seed, number, purpose)).generate_state(1)
    return int(drawn[0]) if number else seed


def smaller_splits(folds: Folds, sizes: Sequence[int], seed: int) -> list[Split]:
    """Return each fold with less of its training part, sizes rising.

    Raises `UserError` for a size that a training part does not have.
    """
    least = min(int((folds.of != fold).sum()) for fold in range(folds.k))
    for size in sizes:
        if size >= least:
            raise UserError(
                f"--train-sizes {size}: a training part has {least} clips; `all` stands for them"
            )
    return [Split(folds, fold, seed, size) for size in sorted(sizes) for fold in range(folds.k)]


def parse_train_sizes(given: str | Sequence[int] | None) -> tuple[int, ...]:
    """Return the sizes that `0,50,200,all` names, rising, without `all`; raises `UserError`."""
    parts = given.split(",") if isinstance(given, str) else given or ()
    sizes = []
    for part in map(str, parts):
        size = part.strip()
        if size == "all":
            continue
        if not size.isascii() or not size.isdigit() or int(size) == 1 or len(size) > 9:
            raise UserError(
                f"--train-sizes {size or '(empty)'}: a size is `all`, 0 for ready models, or 2 "
                "clips and more"
            )
        sizes.append(int(size))
    return tuple(sorted(set(sizes)))
