"""Deals groups out to folds that are alike in size and in labels."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from math import inf, sqrt

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int64]
_DEALS = 5


def deal(groups: Codes, labels: NDArray[np.int8], k: int, seed: int) -> Codes:
    """Deal groups, numbered from 0, out to `k` folds, none empty; return the fold of each clip.

    The first deal whose folds are alike, within a clip or 5%, else the best of some: first by how
    many training parts lack a class, then by how far a fold's size or labels are from the mean.
    """
    best, least = groups, (k + 1, np.inf)
    for of in _deals(groups, labels, k, seed):
        uneven = _unevenness(of, labels, k)
        if len(np.unique(of)) == k and uneven < least:
            best, least = of, uneven
        if least <= (0, 0.05):
            break
    return _mended(best, groups, labels, k)


def _unevenness(of: Codes, labels: NDArray[np.int8], k: int) -> tuple[int, float]:
    counts = np.bincount(of * 2 + labels, minlength=2 * k).reshape(k, 2)  # of labels in folds
    lacking = int(((counts == counts.sum(0)) & (counts > 0)).sum())
    counts = np.column_stack([counts, counts.sum(1)])
    mean = counts.mean(axis=0)
    apart = np.maximum(np.abs(counts - mean) - 1, 0) / np.maximum(mean, 1)
    return lacking, float(apart.max())


def _mended(of: Codes, groups: Codes, labels: NDArray[np.int8], k: int) -> Codes:
    """Spread a label that lies in one fold alone over two, where it is in two groups."""
    for label in (0, 1):
        folds, held = np.unique(of[labels == label]), np.unique(groups[labels == label])
        if len(folds) == 1 and len(held) > 1:
            others = [fold for fold in range(k) if fold != folds[0]]
            moved = [np.where(groups == group, fold, of) for group in held for fold in others]
            of = min(moved, key=lambda one: _unevenness(one, labels, k))
    return of


def _deals(groups: Codes, labels: NDArray[np.int8], k: int, seed: int) -> Iterator[Codes]:
    """Give deals: by labels and by size, in turn.

    That by labels may leave a fold empty (scikit-learn#34828), which that by size never does; in
    its turn it knows nothing of labels.
    """
    rng = np.random.default_rng(seed)
    for state in [seed, *rng.integers(2**32, size=_DEALS - 1).tolist()]:
        if k <= np.bincount(labels).max():
            yield deal_by_labels(groups, labels, k, state)[groups]
        order = rng.permutation(int(groups.max()) + 1)
        yield deal_by_size(order[groups], k)[order][groups]


def deal_by_size(groups: Codes, k: int) -> Codes:
    """Return the fold of each group as scikit-learn's `GroupKFold` deals them.

    The largest group that is left goes to the smallest fold; of groups alike in size the last.
    """
    sizes = np.bincount(groups)
    of = np.empty(len(sizes), np.int64)
    folds = [(0, fold) for fold in range(k)]  # a heap of sizes
    for group in np.argsort(sizes, kind="stable")[::-1]:
        size, fold = folds[0]
        of[group] = fold
        heapq.heapreplace(folds, (size + int(sizes[group]), fold))
    return of


def deal_by_labels(groups: Codes, labels: NDArray[np.int8], k: int, state: int) -> Codes:
    """Return the fold of each group as scikit-learn's `StratifiedGroupKFold` deals them, shuffled.

    A group goes to the fold that leaves the shares of each label over the folds most alike; of
    folds that are alike in that, to the smaller. Groups whose labels are the least balanced come
    first. With both labels the numbers are those of scikit-learn 1.9 to the last bit, for they
    decide ties. They are Python's floats: a step is too small for arrays to pay.
    """
    _, classes = np.unique(labels, return_inverse=True)
    n = int(classes.max()) + 1
    counts = np.bincount(groups * n + classes, minlength=(int(groups.max()) + 1) * n)
    counts = counts.reshape(-1, n).astype(np.float64)  # (groups, classes)
    shuffled = np.arange(len(counts))
    np.random.RandomState(state).shuffle(shuffled)
    order = shuffled[np.argsort(-np.std(counts[shuffled], axis=1), kind="stable")]
    totals = counts.sum(axis=0).tolist()
    held = [[0.0] * k for _ in totals]  # of each class in each fold
    shares = [[0.0] * k for _ in totals]
    of = np.empty(len(counts), np.int64)
    for group, row in zip(order.tolist(), counts[order].tolist(), strict=True):
        fold = _most_even(row, held, shares, totals)
        of[group] = fold
        for c, count in enumerate(row):
            held[c][fold] += count
            shares[c][fold] = held[c][fold] / totals[c]
    return of


def _most_even(
    row: list[float], held: list[list[float]], shares: list[list[float]], totals: list[float]
) -> int:
    """Return the fold to which a group of `row` clips of each class goes."""
    best, least, fewest = 0, inf, inf
    for fold in range(len(held[0])):
        spread = 0.0
        for count, in_folds, share, total in zip(row, held, shares, totals, strict=True):
            before = share[fold]
            share[fold] = (in_folds[fold] + count) / total
            spread += _std(share)
            share[fold] = before
        spread /= len(row)
        size = sum([in_folds[fold] for in_folds in held])
        alike = size < fewest and abs(spread - least) <= 1e-8 + 1e-5 * least
        if spread < least or alike:
            best, least, fewest = fold, spread, size
    return best


def _std(values: list[float]) -> float:
    """Return the standard deviation, added up as NumPy does it; `sum` is not of all Pythons so."""
    mean = squares = 0.0
    for value in values:
        mean += value
    mean /= len(values)
    for value in values:
        apart = value - mean
        squares += apart * apart
    return sqrt(squares / len(values))
