"""Commands `serve` (a model behind a JSON API, and a page) and `view` (the report of a run)."""

from __future__ import annotations

import click

from audiomatch import hookimpl

__version__ = "0.2.0"


@hookimpl
def audiomatch_commands() -> list[click.Command]:
    """Offer `audiomatch serve` and `audiomatch view`."""
    from audiomatch_serve.command import serve, view

    return [serve, view]
