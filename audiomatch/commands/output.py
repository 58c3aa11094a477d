"""What commands print on stdout: a table for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from audiomatch.errors import printable

if TYPE_CHECKING:
    from rich.console import ConsoleRenderable

PIPE_WIDTH = 1_000


def print_table(*tables: ConsoleRenderable) -> None:
    """Print tables of rich; in a pipe, which has no width, nothing is cut or folded."""
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else PIPE_WIDTH).print(*tables)


def print_json(content: Any) -> None:
    """Print JSON."""
    click.echo(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False))


def show_rows(title: str, columns: list[str], rows: list[dict[str, Any]], as_json: bool) -> None:
    """Print rows as a table of these columns, or all that is in them as JSON."""
    if as_json:
        print_json(rows)
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, box=None, title_justify="left", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        values = [row[c] for c in columns]
        cells = (", ".join(v) if isinstance(v, list) else str(v) for v in values)
        table.add_row(*(Text(printable(cell)) for cell in cells))
    print_table(table)
