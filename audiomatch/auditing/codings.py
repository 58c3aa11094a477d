"""What of a column, a number or a name might tell the label, as bins of clips."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Codes = NDArray[np.int64]
Codings = dict[str, Codes]  # by what it is of a thing, the bin of each clip

MOST = 128  # bins
FEW = 10  # distinct numbers that are names rather than quantities
_EDGE = 3  # characters
_PLACES = 4  # words from either end of a name


def of_values(values: Sequence[Any] | pd.Series) -> Codes:
    """Return a bin for each of the most frequent values, and one for all others together."""
    codes, _ = pd.factorize(pd.Series(values, dtype=object), use_na_sentinel=False)
    counts = np.bincount(codes)
    frequent = np.argsort(-counts, kind="stable")[: MOST - 1]
    bins = np.full(len(counts), len(frequent))
    bins[frequent[counts[frequent] > 1]] = np.flatnonzero(counts[frequent] > 1)
    return np.asarray(bins[codes], np.int64)


def of_numbers(numbers: NDArray[np.float64]) -> Codes:
    """Return a bin for each sixteenth of the numbers, or fewer of few, and one for NaN."""
    known = ~np.isnan(numbers)
    bins = int(np.clip(known.sum() // 12, 3, 16))
    codes = np.full(len(numbers), bins + 1)
    if known.any():
        edges = np.unique(np.quantile(numbers[known], np.arange(1, bins) / bins))
        codes[known] = np.searchsorted(edges, numbers[known], side="right")
    return codes.astype(np.int64)


def as_texts(values: pd.Series) -> pd.Series:
    """Return the cells of a column as texts, '' where they are missing."""
    return values.astype(object).where(values.notna(), "").map(str).str.strip()


def of_column(values: pd.Series) -> Codings:
    """Return the codings of a column of a table: its values, or what they are like."""
    texts = as_texts(values)
    numbers = np.array(pd.to_numeric(texts, errors="coerce"), np.float64)
    empty = (texts == "").to_numpy()
    found = {"its value": of_values(texts)}
    if empty.any():
        found["whether it is empty"] = empty.astype(np.int64)
    if not empty.all() and np.isfinite(numbers[~empty]).mean() > 0.9:
        if len(np.unique(numbers[~empty])) > FEW:
            found["its quantity"] = of_numbers(np.where(np.isfinite(numbers), numbers, np.nan))
        return found
    if texts.nunique() > FEW:
        found |= of_names(texts)
    return found


def of_names(names: Iterable[str]) -> Codings:
    """Return the codings of names: their length, ends, words by place, and number."""
    texts = pd.Series(list(names), dtype=object)
    words = [re.findall(r"[^\W\d_]+|\d+", name.lower()) for name in texts]
    found = {
        "its length": of_values(texts.str.len()),
        "its first letters": of_values(texts.str.lower().str[:_EDGE]),
        "its last letters": of_values(texts.str.lower().str[-_EDGE:]),
        "its last letter": of_values(texts.str.lower().str[-1:]),
    }
    for place in range(_PLACES):
        for end, at in (("", place), (" from the end", -place - 1)):
            parts = [one[at] if len(one) > place else "" for one in words]
            if len(set(parts)) > 1:
                found[f"its word {place + 1}{end}"] = of_values(parts)
    numbers = np.array([_last_number(one) for one in words])
    if len(np.unique(numbers)) > FEW:
        found["its number"] = of_numbers(numbers)
        found["its number, odd or even"] = np.where(np.isnan(numbers), 2, numbers % 2).astype(int)
    return found


def _last_number(words: list[str]) -> float:
    digits = [word for word in words if word.isdecimal()]
    return float(digits[-1][-15:]) if digits else float("nan")


def of_order(n: int) -> Codings:
    """Return the codings of where a row stands among `n`: wide and narrow parts, turns."""
    rows = np.arange(n)
    turns = {f"every {_ORDINAL[turn]} row": rows % turn for turn in (2, 3, 4)}
    narrow = rows * min(MOST, max(2, n // 8)) // n
    return {"the part of the table": rows * 8 // n, "its neighbours": narrow, **turns}


_ORDINAL = {2: "second", 3: "third", 4: "fourth"}
