"""How numbers and intervals are printed, in tables of the terminal, of files and of the report."""

from __future__ import annotations


def decimal(value: float | None, digits: int = 3, none: str = "-", thousands: str = "") -> str:
    """Return a number with so many digits, no minus before a zero; `none` where there is none.

    `thousands` may be a comma between them.
    """
    return none if value is None else f"{round(value, digits) + 0.0:{thousands}.{digits}f}"


def interval(low: float | None, high: float | None, digits: int = 3, none: str = "-") -> str:
    """Return the ends of an interval; `none` where there is none."""
    if low is None or high is None:
        return none
    return f"{decimal(low, digits)} to {decimal(high, digits)}"
