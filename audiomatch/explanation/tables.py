"""Explanations as a table in the terminal, and as files."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from rich.table import Table
from rich.text import Text

from audiomatch.datasets.cells import without_formulas
from audiomatch.datasets.tables import table_suffix, write_table
from audiomatch.errors import printable
from audiomatch.explanation import Explanation, WordEvidence
from audiomatch.explanation.colours import colour_of, ink_on
from audiomatch.files import atomic_file

BAR = 10


def explanation_table(one: Explanation) -> Table:
    """Return a table with a row a word; the least probable one is marked."""
    table = Table(
        title=Text(printable(f"{one.id}: P(match) {one.p_match:.3f}\nexpected  {one.text}\n"))
        + Text(printable(f"heard     {one.heard or '(nothing)'}")),
        box=None,
        title_justify="left",
        title_style="",
        pad_edge=False,
    )
    parts = "phones" if any(word.phones for word in one.words) else "tokens"
    for name in ("word", "P(said)", "", "seconds", "heard", "would rather", parts, ""):
        table.add_column(name, justify="right" if name in ("P(said)", "seconds") else "left")
    for i, word in enumerate(one.words):
        colour = colour_of(word.probability)
        table.add_row(
            Text(printable(word.word), style=f"{ink_on(colour)} on {colour}"),
            f"{word.probability:.3f}",
            Text("█" * round(BAR * word.probability), style=colour),
            f"{word.start:.2f}–{word.end:.2f}",
            Text(printable("nothing" if word.outcome == "nothing" else word.heard or "–")),
            Text(printable(word.rather or "–")),
            Text(printable(_tokens(word)), style="dim"),
            "◀ worst" if i == one.worst and len(one.words) > 1 else "",
        )
    return table


def _tokens(word: WordEvidence) -> str:
    """Return the probabilities of its tokens, or of its phones."""
    tokens = [f"{t.token.strip() or '·'} {math.exp(t.log_prob):.2f}" for t in word.tokens]
    return " ".join([*tokens, *(f"{p.phone} {p.probability:.2f}" for p in word.phones)])


def write_explanations(path: Path, found: Sequence[Explanation]) -> None:
    """Write .jsonl with a clip a line, or .csv or .parquet with a word a row.

    In CSV a text that a spreadsheet would run as a formula begins with '; ids stay as they are.
    """
    if path.suffix.lower() != ".jsonl":
        table = pd.DataFrame([row for one in found for row in one.rows()])
        write_table(
            path, table if table_suffix(path) == ".parquet" else without_formulas(table, ["id"])
        )
        return
    lines = (json.dumps(one.as_dict(), ensure_ascii=False, allow_nan=False) for one in found)
    with atomic_file(path) as temporary:
        temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
