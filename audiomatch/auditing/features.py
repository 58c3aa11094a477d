"""Scores from many numbers at once: of the sound alone, of the text alone, of near texts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from audiomatch.auditing.permuting import Codes
from audiomatch.auditing.probing import Floats, Scores

_DIMENSIONS = 40
_PENALTY = 0.1  # of ridge regression, in shares of the clips, for features of spread 1
_WORDS = 4  # words that a text needs for one of them to be the other
_TEMPLATE = 50  # texts that are one but for a word, beyond which that is a template
_LETTERS = (5, 24)  # letters that a word needs, and may have, for one of them to be the other


def linear_scores(features: Floats, of: Codes) -> Scores:
    """Return ridge regression on features of shape (n, d), cross-fitted over the folds."""
    k = int(of.max()) + 1
    makers = []
    for fold in range(k):
        train, held_out = np.flatnonzero(of != fold), np.flatnonzero(of == fold)
        mean, spread = features[train].mean(axis=0), features[train].std(axis=0)
        spread = np.where(spread > 1e-9, spread, 1.0)
        x, z = (np.clip((features[part] - mean) / spread, -8, 8) for part in (train, held_out))
        penalty = _PENALTY * len(train) * np.eye(x.shape[1])
        makers.append((train, held_out, z, np.linalg.solve(x.T @ x + penalty, x.T)))

    def scores(y: NDArray[np.float32]) -> Floats:
        found = np.empty(y.shape)
        for train, held_out, z, solved in makers:
            found[held_out] = z @ (solved @ (y[train] - y[train].mean(axis=0)))
        return found

    return scores


def text_features(texts: Sequence[str], seed: int) -> Floats:
    """Return n-grams of characters and words of texts as few numbers, shape (n, d)."""
    codes, unique = pd.factorize(pd.Series(list(texts), dtype=object))
    counters = (
        TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), max_features=20_000),
        TfidfVectorizer(token_pattern=r"\S+", max_features=20_000),  # noqa: S106
    )
    parts = [counter.fit_transform(unique) for counter in counters]
    counts = sparse.hstack(parts, format="csr")
    d = min(_DIMENSIONS, *(size - 1 for size in counts.shape))
    if d < 1:
        return np.zeros((len(codes), 1))
    lengths = np.array([[len(text), text.count(" ")] for text in unique], np.float64)
    reduced = TruncatedSVD(d, random_state=seed).fit_transform(counts)
    return np.asarray(np.column_stack([reduced, np.log1p(lengths)])[codes], np.float64)


def near_pairs(texts: Sequence[str]) -> NDArray[np.int64]:
    """Return pairs of positions of distinct texts that are one word, or one letter, apart.

    Texts of four words or more may have a word more, less or other; single words of five letters or
    more a letter (by what is left when one is taken out, as in symmetric deletion spelling).
    """
    keys: list[str] = []
    owners: list[int] = []
    for position, text in enumerate(texts):
        parts = text.split() if len(text.split()) >= _WORDS else []
        glue = " "
        if " " not in text and _LETTERS[0] <= len(text) <= _LETTERS[1]:
            parts, glue = list(text), ""
        found = {glue.join(parts[:i] + parts[i + 1 :]) for i in range(len(parts))}
        for key in found | ({text} if parts else set()):
            keys.append(key)
            owners.append(position)
    if not keys:
        return np.empty((0, 2), np.int64)
    codes = pd.factorize(pd.Series(keys, dtype=object))[0]
    telling = np.bincount(codes)[codes] <= _TEMPLATE
    cells = codes[telling], np.asarray(owners)[telling]
    holds = sparse.csr_array((np.ones(len(cells[0])), cells), shape=(len(keys), len(texts)))
    near = sparse.triu(holds.T @ holds, k=1).tocoo()
    return np.column_stack([near.row, near.col]).astype(np.int64)


def neighbour_scores(
    texts: Sequence[str], groups: Codes
) -> tuple[Scores, NDArray[np.int64]] | None:
    """Return the mean label of the clips of near texts in other groups, and the pairs of texts.

    Of a clip without any it is NaN; None where no clip has any.
    """
    codes, unique = pd.factorize(pd.Series(list(texts), dtype=object))
    pairs = near_pairs(list(unique))
    group_of = np.zeros(len(unique), np.int64)
    group_of[codes] = groups
    pairs = pairs[group_of[pairs[:, 0]] != group_of[pairs[:, 1]]]
    if not len(pairs):
        return None
    ends = np.concatenate([pairs, pairs[:, ::-1]])
    near = sparse.csr_array((np.ones(len(ends)), ends.T), shape=(len(unique),) * 2)
    has = sparse.csr_array((np.ones(len(codes)), (codes, np.arange(len(codes)))))
    weights = near @ has  # (texts, clips)
    clips = np.asarray(weights.sum(axis=1)).reshape(-1, 1)

    def scores(y: NDArray[np.float32]) -> Floats:
        means = np.where(clips > 0, (weights @ y) / np.maximum(clips, 1), np.nan)
        return np.asarray(means[codes], np.float64)

    return scores, pairs
