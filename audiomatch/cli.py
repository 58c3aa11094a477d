"""The command line and its one error boundary."""

from __future__ import annotations

import sys
import warnings
from typing import Any

import click

import audiomatch
from audiomatch.commands import COMMANDS
from audiomatch.commands.group import CommandGroup
from audiomatch.distributions import stranger
from audiomatch.errors import DataWarning, RenamedWarning, UserError
from audiomatch.hookspecs import DISTRIBUTION, PROJECT
from audiomatch.machine import wait_passively
from audiomatch.offers import import_object


@click.group(
    cls=CommandGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(audiomatch.__version__)
def cli() -> None:
    """Does this recording say this text, and which model tells it best?

    A matcher is named NAME[:PRESET][@key=value]…, as in whisper:baseline@epochs=1.
    """


for name, path in COMMANDS.items():
    cli.add_command(import_object(path), name)


def main() -> None:
    """Run the command line: exit code 0, 1 (a matcher or fold failed), 2 (bad input) or 130."""
    warnings.showwarning = _show_warning
    _warn_of_stranger()
    wait_passively()
    try:
        code = cli(standalone_mode=False)
    except UserError as error:
        code = _say(str(error), 2)
    except click.exceptions.Exit as error:
        code = error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        code = 2
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        hint = f" (see {context.command_path} --help)" if context else ""
        code = _say(error.format_message().rstrip(".") + hint, 2)
    except (KeyboardInterrupt, click.Abort):
        code = _say("stopped; what is finished is kept, the same command goes on from there", 130)
    except BrokenPipeError:
        sys.stderr.close()
        code = 1
    sys.exit(code if isinstance(code, int) else 0)


def _show_warning(
    message: Warning | str, category: type[Warning], *where: Any, **more: Any
) -> None:
    if issubclass(category, RenamedWarning | DataWarning):
        _say(str(message), 0)
    else:
        _show_other_warning(message, category, *where, **more)


_show_other_warning = warnings.showwarning


def _warn_of_stranger() -> None:
    version = stranger()
    if version is not None:
        _say(
            f"another program, the distribution {PROJECT!r} {version}, is installed here too, and "
            f"the two overwrite each other's files: pip uninstall {PROJECT} {DISTRIBUTION}, then "
            f"pip install {DISTRIBUTION}",
            0,
        )


def _say(line: str, code: int) -> int:
    print(f"audiomatch: {' '.join(line.split())}", file=sys.stderr)
    return code
