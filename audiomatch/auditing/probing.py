"""Whether something tells the label: cross-fitted AUROC, against permuted labels, with Holm's p."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.stats import rankdata

from audiomatch.auditing.codings import Codes, Codings
from audiomatch.auditing.permuting import Permutations

Floats = NDArray[np.float64]
Scores = Callable[[NDArray[np.float32]], Floats]

LEAST = 0.05  # of |AUROC - 0.5| that is worth a word
FALSE_ALARMS = 0.05  # of all probes of a report together
_PIECE = 100  # permutations at a time
_ENOUGH = 10  # permutations that tell as well, after which there is nothing to find
_SMOOTH = 2.0  # clips of the base rate that each bin begins with


@dataclass(frozen=True)
class Labels:
    """The labels with what permutations and cross-fitting keep to.

    Attributes:
        y: the labels, (n,).
        groups: the group of each clip, numbered from 0.
        of: the fold of each clip, numbered from 0; groups are whole in a fold.
        seed: of the permutations.
    """

    y: NDArray[np.int8]
    groups: Codes
    of: Codes
    seed: int

    @property
    def k(self) -> int:
        """How many folds."""
        return int(self.of.max()) + 1


@dataclass(frozen=True, eq=False)
class Question:
    """Something that might tell the label.

    Attributes:
        id: the finding that it would be.
        subject: the column, where there are several.
        codings: bins of clips; the best counts.
        scores: from labels of shape (n, b) to cross-fitted scores of that shape, NaN where there is
            none; in the place of codings.
    """

    id: str
    subject: str = ""
    codings: Codings = field(default_factory=dict)
    scores: Scores | None = None


@dataclass(frozen=True)
class Answer:
    """How well it does.

    Attributes:
        question: what was asked.
        auroc: of the coding that tells most; under 0.5 where what holds in other groups is turned
            round.
        p: Holm's, over all questions.
        by: that coding.
        permutations: how many the p rests on.
    """

    question: Question
    auroc: float
    p: float
    by: str
    permutations: int

    @property
    def strength(self) -> float:
        """AUROC, whichever way round."""
        return max(self.auroc, 1 - self.auroc)


def ask(questions: Sequence[Question], labels: Labels) -> list[Answer]:
    """Answer the questions, each tested against permuted labels (`permuting.permuted`)."""
    most = max(1_000, int(2 * len(questions) / FALSE_ALARMS))
    others = Permutations(labels.y, labels.groups, most, _PIECE, labels.seed)
    raw = [_ask(question, labels, others) for question in questions]
    adjusted = holm([one.p for one in raw])
    return [
        Answer(one.question, one.auroc, p, one.by, one.permutations)
        for one, p in zip(raw, adjusted, strict=True)
    ]


def holm(p: Sequence[float]) -> list[float]:
    """Return the p values adjusted for all of them (Holm, 1979)."""
    order = np.argsort(p, kind="stable")
    steps = np.asarray(p)[order] * (len(p) - np.arange(len(p)))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(one) for one in adjusted]


def _ask(question: Question, labels: Labels, others: Permutations) -> Answer:
    tests = _tests(question, labels)
    observed = {by: float(test(_column(labels.y))[0]) for by, test in tests.items()}
    if not observed:
        return Answer(question, 0.5, 1.0, "", 0)
    by = max(observed, key=lambda one: abs(observed[one] - 0.5))
    strength = abs(observed[by] - 0.5)
    if strength < LEAST:
        return Answer(question, observed[by], 1.0, by, 0)
    as_well, done = 0, 0
    for y in others:
        found = np.max([np.abs(test(y) - 0.5) for test in tests.values()], axis=0)
        as_well += int((found >= strength - 1e-9).sum())
        done += y.shape[1]
        if as_well >= _ENOUGH:  # Besag and Clifford (1991)
            break
    return Answer(question, observed[by], (as_well + 1) / (done + 1), by, done)


def _column(y: NDArray[np.int8]) -> NDArray[np.float32]:
    return y.astype(np.float32)[:, None]


def _tests(
    question: Question, labels: Labels
) -> dict[str, Callable[[NDArray[np.float32]], Floats]]:
    if question.scores is not None:
        scores = question.scores
        return {"a linear model": lambda y: auroc_in_folds(scores(y), y, labels.of)}
    return {
        by: _by_bins(codes, labels)
        for by, codes in question.codings.items()
        if len(np.unique(codes)) > 1
    }


def _by_bins(codes: Codes, labels: Labels) -> Callable[[NDArray[np.float32]], Floats]:
    """Return what gives the AUROC of a clip's bin's share of matches in the other folds."""
    of, k = labels.of, labels.k
    bins = np.unique(codes, return_inverse=True)[1]
    m = int(bins.max()) + 1
    entries = np.ones(len(bins), np.float32), (of * m + bins, np.arange(len(bins)))
    cells = sparse.csr_array(entries, shape=(k * m, len(bins)))  # (folds x bins, clips)
    clips = np.asarray(cells.sum(axis=1)).reshape(k, m, 1)
    # Bins that tell alike come in an order of chance, which is the same for all labels.
    tie = 1e-9 * np.random.default_rng(labels.seed).random((1, m, 1))

    def auroc(y: NDArray[np.float32]) -> Floats:
        matches = (cells @ y).reshape(k, m, -1)  # (folds, bins, b)
        others = matches.sum(axis=0, keepdims=True) - matches
        known = clips.sum(axis=0, keepdims=True) - clips
        base = others.sum(axis=1, keepdims=True) / np.maximum(known.sum(axis=1, keepdims=True), 1)
        rate = (others + _SMOOTH * base) / (known + _SMOOTH) + tie
        order = np.argsort(rate, axis=1, kind="stable")
        hits = np.take_along_axis(matches, order, axis=1)
        misses = np.take_along_axis(clips - matches, order, axis=1)
        below = np.cumsum(misses, axis=1) - misses / 2
        wins, pairs = (hits * below).sum(axis=(0, 1)), (hits.sum(1) * misses.sum(1)).sum(axis=0)
        return np.asarray(np.where(pairs > 0, wins / np.maximum(pairs, 1), 0.5), np.float64)

    return auroc


def auroc_in_folds(scores: Floats, y: NDArray[np.float32], of: Codes) -> Floats:
    """Return the AUROC of each column of `scores` within folds, pairs pooled; NaN is left out."""
    wins, pairs = np.zeros(y.shape[1]), np.zeros(y.shape[1])
    for fold in range(int(of.max()) + 1):
        rows = (of == fold) & ~np.isnan(scores[:, 0])
        if rows.sum() < 2:
            continue
        hits = y[rows].sum(axis=0, dtype=np.float64)
        misses = rows.sum() - hits
        ranks = rankdata(scores[rows], axis=0)
        wins += (ranks * y[rows]).sum(axis=0) - hits * (hits + 1) / 2
        pairs += hits * misses
    return np.asarray(np.where(pairs > 0, wins / np.maximum(pairs, 1), 0.5), np.float64)
