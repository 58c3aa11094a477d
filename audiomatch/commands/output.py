"""What commands print on stdout: a table for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.table import Table

PIPE_WIDTH = 1_000


def print_table(table: Table) -> None:
    """Print a rich table; in a pipe, which has no width, nothing is cut or folded."""
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else PIPE_WIDTH).print(table)


def print_json(content: Any) -> None:
    """Print JSON."""
    click.echo(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False))
