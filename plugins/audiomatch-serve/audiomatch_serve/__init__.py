"""Command `serve`: a model behind a JSON API, and a page to read a text aloud to."""

from __future__ import annotations

import click

from audiomatch import hookimpl

__version__ = "0.2.0"


@hookimpl
def audiomatch_commands() -> list[click.Command]:
    """Offer `audiomatch serve`."""
    from audiomatch_serve.command import serve

    return [serve]
