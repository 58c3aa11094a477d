"""What the cells of a table say: texts and labels. What is neither is refused."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from audiomatch.errors import UserError, brief
from audiomatch.text import of_each

# A label as tables write it, small letters.
_WORDS = {"true": 1, "yes": 1, "t": 1, "y": 1, "match": 1, "correct": 1,
          "false": 0, "no": 0, "f": 0, "n": 0, "mismatch": 0, "incorrect": 0}  # fmt: skip
# What a spreadsheet takes for the beginning of a formula, in full width too.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
Where = Callable[[int], str]


def check_column_names(names: list[str], source: str) -> None:
    """Raise `UserError` for a name that comes twice."""
    repeated = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if repeated is not None:
        raise UserError(f"{source}: two columns are called {brief(repeated)}; rename one")


def text_cells(values: Iterable[Any], column: str, where: Where, *, loose: bool) -> list[str]:
    """Return each cell as text: "" where it is missing, a whole number as its digits.

    Args:
        values: the cells.
        column: its name, for the `UserError` about a cell that holds no text.
        where: says the place of a cell by its position.
        loose: whether any single value will do, such as a number with a point.
    """
    found = list(values)
    if {*map(type, found)} <= {str}:
        return found
    for position, value in enumerate(found):
        if type(value) is not str:
            text = _as_text(value, loose=loose)
            if text is None:
                raise UserError(
                    f"{where(position)}: {column} is no text but a {type(value).__name__}: "
                    f"{brief(value)}"
                )
            found[position] = text
    return found


def _as_text(value: Any, *, loose: bool) -> str | None:
    if isinstance(value, str | os.PathLike):
        return str(value)
    if is_missing(value):
        return ""
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return str(int(value))
    if not loose or not pd.api.types.is_scalar(value) or isinstance(value, bytes):
        return None
    whole = isinstance(value, float | np.floating) and float(value).is_integer()
    return str(int(value)) if whole else str(value)


def is_missing(value: Any) -> bool:
    """Whether a cell holds nothing: None, NaN, NA or NaT."""
    return value is None or (pd.api.types.is_scalar(value) and bool(pd.isna(value)))


def label_cells(values: Iterable[Any], where: Where) -> NDArray[np.int8]:
    """Return the labels, int8 of shape (n,). Raises `UserError` for a cell that is none."""
    cells = list(values)
    plain = {*map(type, cells)} <= {str}
    found = of_each(label_of, cells) if plain else [label_of(value) for value in cells]
    if None in found:
        position = found.index(None)
        value = cells[position]
        said = "empty" if is_missing(value) else brief(value)
        raise UserError(f"{where(position)}: match is {said}; must be 0 or 1, or true or false")
    return np.array(found, np.int8)


def label_of(value: Any) -> int | None:
    """Return 1 or 0 for a label in any of its spellings, None for anything else."""
    if isinstance(value, str):
        word = value.strip().lower()
        if word in _WORDS:
            return _WORDS[word]
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return int(number) if number in (0.0, 1.0) else None


def without_formulas(frame: pd.DataFrame, keys: Sequence[str] = ()) -> pd.DataFrame:
    """Return a table in which no text is a formula to a spreadsheet: such a one begins with '.

    So OWASP advises for CSV ("CSV Injection"). Columns of `keys` stay: other tables hold them too.
    """
    return frame.assign(
        **{str(c): frame[c].map(_not_formula) for c in frame.columns if c not in keys}
    )


def _not_formula(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
