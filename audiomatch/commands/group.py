"""The group of all commands: the core's own, and those that plugins offer."""

from __future__ import annotations

import click


class CommandGroup(click.Group):
    """Asks the plugins only for a command that is not the core's own, and for the help."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the core's command of that name, else a plugin's."""
        return super().get_command(ctx, cmd_name) or _offered().get(cmd_name)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name all commands."""
        return sorted({*super().list_commands(ctx), *_offered()})


def _offered() -> dict[str, click.Command]:
    from audiomatch.plugins import registry

    return registry().commands()
